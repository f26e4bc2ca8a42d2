"""Writes what shells need to complete `aurora` and `aurora_admin` into a folder: `make manuals`."""

from __future__ import annotations

import sys
from pathlib import Path

from client import described
from client.completion import SHELLS


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for program in (described.aurora(), described.aurora_admin()):
        for shell, completed in SHELLS.items():
            (folder / f"{program.name}.{shell}").write_text(completed(program))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
