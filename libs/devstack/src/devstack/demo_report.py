"""What the demo shows: how the job gets on, and what came of it."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from contracts.states import Stage
from devstack.glb import GlbSummary


class JobProgress:
    """A progress bar on a terminal; elsewhere a line whenever the stage or the status changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description:<22}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("QUEUED", total=100)
        self._last_line = ""

    def __enter__(self) -> "JobProgress":
        self._bar.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, job: dict[str, Any]) -> None:
        line = f"{job['status']} {job.get('stage') or ''}".strip()
        self._bar.update(self._task, description=line, completed=job["progress_percent"])
        if not self._console.is_terminal and line != self._last_line:
            self._console.print(f"{job['progress_percent']:>3} %  {line}")
        self._last_line = line


def print_report(
    console: Console,
    *,
    model: Path,
    preview: Path | None,
    summary: GlbSummary,
    seconds: Mapping[str, float],
    stage_durations_ms: Mapping[str, float],
) -> None:
    """The files, what is in the model, and where the time went: as the client saw it, and stage by stage in the worker."""
    textures = ", ".join(f"{width} × {height}" for width, height in summary.texture_sizes) or "none"
    facts = Table(show_header=False, box=None, padding=(0, 2))
    facts.add_row("model", str(model))
    facts.add_row("preview", str(preview or "none"))
    facts.add_row("triangles", f"{summary.triangles:,}")
    facts.add_row("bytes", f"{summary.size_bytes:,}")
    facts.add_row("texture", textures)
    times = Table("stage", "seconds", box=None, padding=(0, 2), title_justify="left")
    times.columns[1].justify = "right"
    for name, duration in seconds.items():
        times.add_row(name, f"{duration:.3f}")
        if name == "running":
            for stage in (stage for stage in Stage if stage in stage_durations_ms):
                times.add_row(f"  {stage}", f"{stage_durations_ms[stage] / 1000:.3f}")
    console.print()
    console.print(facts)
    console.print()
    console.print(times)
