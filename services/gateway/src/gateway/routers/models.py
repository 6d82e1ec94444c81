"""/models: the catalogue."""

import time
from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response

from gateway.catalogue import Catalogue
from gateway.routers import API_PREFIX
from gateway.routers.answers import json_answer, problems
from gateway.routers.schemas import ModelList
from gateway.served_models import ServedModels


def models_router(*, catalogue: Callable[[], Catalogue], served_models: ServedModels) -> APIRouter:
    router = APIRouter(prefix=API_PREFIX, tags=["models"])

    @router.get(
        "/models",
        response_model=ModelList,
        responses=problems(),
        summary="List the models on offer",
        operation_id="list_models",
    )
    async def get_models() -> Response:
        served = served_models.at(time.monotonic())
        return json_answer(
            {
                "models": [
                    {
                        "id": entry.id,
                        "name": entry.name,
                        "kind": entry.kind,
                        "parameters_schema": entry.parameters_schema,
                        "defaults": entry.defaults,
                        "served": entry.id in served,
                    }
                    for entry in catalogue().entries.values()
                    if not entry.retired
                ]
            }
        )

    return router
