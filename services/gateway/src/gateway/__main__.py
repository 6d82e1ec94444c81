"""`python -m gateway`"""

from functools import partial

from gateway.app import build_app
from gateway.settings import GatewaySettings
from service_kit.asgi import load_settings, serve

if __name__ == "__main__":
    settings: GatewaySettings = load_settings(GatewaySettings, "gateway")
    serve("gateway", partial(build_app, settings), settings)
