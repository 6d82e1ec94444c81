"""`python -m artifacts`: runs the service."""

from artifacts.app import build_app
from artifacts.settings import ArtifactsSettings
from service_kit.asgi import serve
from service_kit.environment import load_settings

if __name__ == "__main__":
    settings = load_settings(ArtifactsSettings, "artifacts")
    serve("artifacts", lambda: build_app(settings), settings)
