"""The `Allow` of a 405: every method of the path (RFC 9110, 15.5.6), where a route of Starlette's names only its own."""

from fastapi import FastAPI
from starlette.routing import compile_path


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """By the app's own description, so a literal path goes before one with parameters. None for a path that is not in it."""
    for template, operations in sorted(app.openapi()["paths"].items(), key=lambda item: str(item[0]).count("{")):
        if compile_path(template)[0].fullmatch(path):
            return sorted(method.upper() for method in operations)
    return []
