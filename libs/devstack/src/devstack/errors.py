"""What can go wrong around the programs devstack starts. Every message is one sentence that says what to do."""

from pathlib import Path


class DevstackError(Exception):
    """A development stack could not do what was asked."""


class MissingPrerequisiteError(DevstackError):
    """A program that has to be installed is not; the message carries the command that installs it."""


class StateInUseError(DevstackError):
    """Another process works in the same state directory."""

    def __init__(self, directory: Path, owner_pid: str) -> None:
        super().__init__(
            f"{directory} is in use by process {owner_pid or 'unknown'}: stop it first (Ctrl-C in its terminal)"
        )
        self.directory = directory


class StartError(DevstackError):
    """A program ended, or did not answer in time, while it was being started; carries the end of its log."""

    def __init__(self, name: str, reason: str, log: Path, advice: str = "") -> None:
        lines = "".join(f"\n    {line}" for line in last_lines(log)) or "\n    (it wrote nothing)"
        super().__init__(f"{name} {reason}. The end of {log}:{lines}" + (f"\n{advice}" if advice else ""))
        self.name = name


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The last lines of a log file; none if there is no such file."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        return file.read().decode(errors="replace").splitlines()[-count:]
