"""Holds the catalogue in memory and follows its table."""

import structlog

from gateway.catalogue import Catalogue, CatalogueEntry
from gateway.store.models import ModelReader
from service_kit.problems import unavailable

log = structlog.get_logger()


class CatalogueKeeper:
    def __init__(self, models: ModelReader) -> None:
        self._models = models
        self._entries: list[CatalogueEntry] = []
        self._catalogue = Catalogue([])
        self.is_loaded = False

    def current(self) -> Catalogue:
        """Raises 503 before it was read for the first time: nobody knows yet which models there are."""
        if not self.is_loaded:
            raise unavailable("The catalogue of models is not there yet. Try again shortly.")
        return self._catalogue

    async def refresh(self) -> None:
        """Takes over the table's content. A model whose schema is broken is left out, the others stay on offer."""
        entries = await self._models.all()
        if entries != self._entries or not self.is_loaded:
            self._catalogue = Catalogue([entry for entry in entries if _compiles(entry)])
            self._entries = entries
            log.info("gateway.catalogue.loaded", models=sorted(self._catalogue.entries))
        self.is_loaded = True


def _compiles(entry: CatalogueEntry) -> bool:
    try:
        Catalogue([entry])
    except ValueError:
        log.exception("gateway.model.left_out", model=entry.id)
        return False
    return True
