"""`python -m orchestrator`."""

from orchestrator.app import build_app
from orchestrator.settings import OrchestratorSettings
from service_kit.asgi import serve
from service_kit.environment import load_settings

if __name__ == "__main__":
    settings = load_settings(OrchestratorSettings, "orchestrator")
    serve("orchestrator", lambda: build_app(settings), settings)
