"""The REST API, a file per resource. Hot routes answer with bytes made directly: the schemas only describe them."""

API_PREFIX = "/api/v1"
