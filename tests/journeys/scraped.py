"""What `/metrics` said at one moment."""

from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from devstack.stack import Stack

Series = tuple[str, frozenset[tuple[str, str]]]
"""A name with its labels."""


class Scraped:
    def __init__(self, samples: Mapping[Series, float]) -> None:
        self.samples = samples

    def __call__(self, name: str, **labels: str) -> dict[str, float]:
        """The samples of that name that have these labels, by the values of their others, in order and joined by spaces."""
        wanted = frozenset(labels.items())
        return {
            " ".join(value for _, value in sorted(its - wanted)): number
            for (its_name, its), number in self.samples.items()
            if its_name == name and wanted <= its
        }

    def since(self, before: "Scraped") -> "Scraped":
        """By how much each sample has grown; those that have not are left out."""
        grown = {series: number - before.samples.get(series, 0.0) for series, number in self.samples.items()}
        return Scraped({series: number for series, number in grown.items() if number})

    def values_of(self, label: str) -> set[str]:
        return {value for _, labels in self.samples for name, value in labels if name == label}


async def scrape(stack: Stack, process: str) -> Scraped:
    async with aiohttp.ClientSession() as http, http.get(f"{stack.url(process)}/metrics") as answer:
        assert answer.status == 200
        page = await answer.text()
    return Scraped(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if family.name.startswith("p3d_")
        }
    )
