"""The API key of every route."""

from typing import Annotated

from fastapi import Request, Security
from fastapi.params import Depends
from fastapi.security import APIKeyHeader

from gateway.authenticate import Authenticate
from gateway.user import User

_API_KEY = APIKeyHeader(name="x-api-key", auto_error=False, description="Your API key.")


def requires_api_key(authenticate: Authenticate) -> Depends:
    """A dependency for a whole router, so that no route of it can forget to ask."""

    async def dependency(request: Request, key: Annotated[str | None, Security(_API_KEY)]) -> None:
        request.state.user = await authenticate(key)

    return Depends(dependency)


def caller(request: Request) -> User:
    """Who sent the request, on a router that requires the API key."""
    user: User = request.state.user
    return user
