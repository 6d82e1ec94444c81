"""`python -m orchestrator`."""

from orchestrator.app import build_app
from orchestrator.settings import OrchestratorSettings
from service_kit.asgi import load_settings, serve

if __name__ == "__main__":
    settings = load_settings(OrchestratorSettings, "orchestrator")
    serve("orchestrator", lambda: build_app(settings), settings)
