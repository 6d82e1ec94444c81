"""``python -m gpu_worker``"""

from gpu_worker.app import build_app
from gpu_worker.settings import GpuWorkerSettings
from service_kit.asgi import serve
from service_kit.environment import load_settings


def main() -> None:
    settings = load_settings(GpuWorkerSettings, "gpu-worker")
    serve("gpu-worker", lambda: build_app(settings), settings)


if __name__ == "__main__":
    main()
