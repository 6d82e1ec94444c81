"""Writes `deploy/grafana/dashboards/` from `boards/`. `--check` fails if the committed files differ."""

import argparse
import json
import sys
from pathlib import Path

from boards import messaging, model, overview, workers

DASHBOARDS = Path(__file__).parent / "dashboards"


def contents() -> dict[str, str]:
    """The content of every generated file, by its name."""
    boards = (overview.DASHBOARD, model.DASHBOARD, workers.DASHBOARD, messaging.DASHBOARD)
    return {f"{board.uid}.json": json.dumps(board.as_json(), indent=1, ensure_ascii=False) + "\n" for board in boards}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = contents()
    found = {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")}
    drifted = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if check and drifted:
        sys.exit(
            f"deploy/grafana/dashboards is not what boards/ says ({', '.join(drifted)}): "
            "run `make dashboards` and commit the result"
        )
    for name in () if check else drifted:
        if name in wanted:
            (DASHBOARDS / name).write_text(wanted[name])
        else:
            (DASHBOARDS / name).unlink()


if __name__ == "__main__":
    main()
