"""`python -m devstack trace`: one photo through the whole system, and its trace as a tree."""

import os
from pathlib import Path

from rich.console import Console

from devstack.api_client import ApiClient
from devstack.demo import make_model, read_photo
from devstack.dotenv_file import load_or_create
from devstack.otlp.receiver import OtlpReceiver
from devstack.otlp.trace_tree import lines, trees
from devstack.whole_system import whole_system

_DELAY_MS = 200


async def show_trace(root: Path, image: Path | None, console: Console) -> int:
    """Starts everything, traced, makes a model of the photo, prints the trace of its job, and leaves nothing running."""
    photo = read_photo(image or root / "tests" / "assets" / "coffee.jpg")
    values = load_or_create(root, os.environ)
    async with OtlpReceiver() as receiver:
        tracing = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_SCHEDULE_DELAY": str(_DELAY_MS),
        }
        async with (
            whole_system(root, root / ".state" / "trace", values, common=tracing) as stack,
            ApiClient(stack.api_url, stack.api_key) as api,
        ):
            await make_model(api, photo, None, root, console)
        # The services are gone, and have sent what they still had.
    trace_id = next(span.trace_id for span in receiver.spans if span.name == "publish jobs:job.requested")
    console.print(f"\ntrace {trace_id}\n   began     took  (ms)")
    for tree in trees(receiver.trace(trace_id)):
        for line in lines(tree, receiver.spans):
            console.out(line, highlight=False)
    return 0
