"""The REST API, a file per resource. Hot routes answer with bytes made directly: the schemas only describe them."""

API_PREFIX = "/api/v1"
UPLOAD_TICKET = "upload-ticket"
"""The one name below /jobs that is no job's."""
