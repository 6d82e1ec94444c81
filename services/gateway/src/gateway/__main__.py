"""`python -m gateway`"""

from functools import partial

from gateway.app import build_app
from gateway.settings import GatewaySettings
from service_kit.asgi import serve
from service_kit.environment import load_settings

if __name__ == "__main__":
    settings = load_settings(GatewaySettings, "gateway")
    serve("gateway", partial(build_app, settings), settings)
