"""`python -m devstack demo`: one photo through the whole system, as a front end would send it."""

import asyncio
import logging
import mimetypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from devstack.api_client import ApiClient
from devstack.demo_report import JobProgress, print_report
from devstack.dotenv_file import load_or_create
from devstack.errors import DevstackError
from devstack.glb import summarise
from devstack.whole_system import whole_system

_log = logging.getLogger("devstack")

_MODEL = "silhouette-v1"
_POLL_INTERVAL_SECONDS = 0.2
_JOB_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Photo:
    path: Path
    content_type: str
    content: bytes = field(repr=False)


class Stopwatch:
    """Seconds by the name of what took them, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - began


async def demo(root: Path, image: Path | None, out: Path | None, console: Console) -> int:
    """Starts everything, makes a model of the photo, writes it, says what it took, and leaves nothing running."""
    photo = read_photo(image or _default_image(root))
    values = load_or_create(root, os.environ)
    began = time.monotonic()
    async with whole_system(root, root / ".state" / "demo", values) as stack:
        _log.info("servers and services are up after %.1f s; the API is %s", time.monotonic() - began, stack.api_url)
        async with ApiClient(stack.api_url, stack.api_key) as api:
            await make_model(api, photo, out, root, console)
    return 0


def read_photo(path: Path) -> Photo:
    """Raises `DevstackError` with a sentence if there is no such file or it is plainly no picture."""
    if not path.is_file():
        raise DevstackError(f"there is no image {path}: name one with IMAGE=photo.jpg")
    content_type, _ = mimetypes.guess_type(path.name, strict=False)
    if not content_type or not content_type.startswith("image/"):
        raise DevstackError(f"{path} is not an image by its name: give it the ending of its type, such as .jpg or .png")
    return Photo(path, content_type, path.read_bytes())


async def make_model(api: ApiClient, photo: Photo, out: Path | None, root: Path, console: Console) -> None:
    """Sends the photo, waits for its model, writes it to `out` or under `root`, and prints what it took."""
    watch = Stopwatch()
    with watch.timed("upload ticket"):
        ticket = await api.upload_ticket(photo.path.name, photo.content_type)
    with watch.timed("upload"):
        await api.upload(ticket, photo.content)
    with watch.timed("create job"):
        job = await api.create_job(_MODEL, {"image_path": ticket["object_name"]})
    job = await _watch(api, job, watch, console)
    with watch.timed("download"):
        model = await api.fetch(await api.download_url(job["id"]))
    file = out or root / "out" / f"{job['id']}.glb"
    preview = await _write(api, job, file, model)
    stages = (await api.events(job["id"]))[-1]["payload"].get("stage_durations_ms", {})
    print_report(
        console,
        model=file,
        preview=preview,
        summary=summarise(model),
        seconds=watch.seconds,
        stage_durations_ms=stages,
    )


async def _watch(api: ApiClient, job: dict[str, Any], watch: Stopwatch, console: Console) -> dict[str, Any]:
    """Polls until the job is over; raises `DevstackError` with the job's own sentence unless it succeeded."""
    deadline = time.monotonic() + _JOB_TIMEOUT_SECONDS
    with JobProgress(console) as progress:
        with watch.timed("in the queue"):
            while job["status"] == "QUEUED":
                job = await _next(api, job, progress, deadline)
        with watch.timed("running"):
            while job["status"] == "RUNNING":
                job = await _next(api, job, progress, deadline)
    if job["status"] != "SUCCEEDED":
        reason = (job.get("error") or {}).get("message", "it gave no reason")
        raise DevstackError(f"the job ended as {job['status']}: {reason}")
    return job


async def _next(api: ApiClient, job: dict[str, Any], progress: JobProgress, deadline: float) -> dict[str, Any]:
    if time.monotonic() > deadline:
        raise DevstackError(f"the job is still {job['status']} after {_JOB_TIMEOUT_SECONDS:.0f} s")
    await asyncio.sleep(_POLL_INTERVAL_SECONDS)
    job = await api.job(job["id"])
    progress.show(job)
    return job


async def _write(api: ApiClient, job: dict[str, Any], file: Path, model: bytes) -> Path | None:
    """Writes the model, and beside it the preview if the job has one."""
    artifacts = await api.artifacts(job["id"])
    previews = [await api.fetch(artifact["url"]) for artifact in artifacts if artifact["kind"] == "preview"]
    return await asyncio.to_thread(_write_files, file, model, previews)


def _write_files(file: Path, model: bytes, previews: list[bytes]) -> Path | None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model)
    for preview in previews:
        picture = file.with_suffix(".png")
        picture.write_bytes(preview)
        return picture
    return None


def _default_image(root: Path) -> Path:
    return root / "tests" / "assets" / "coffee.jpg"
