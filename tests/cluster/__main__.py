"""`python -m tests.cluster --rounds 200 --seed 1`: what `make chaos-cluster` runs."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.cluster import chaos
from tests.cluster.faults import FAULTS
from tests.cluster.network import why_not
from tests.cluster.schedulers import site


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=chaos.__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only this one")
    parser.add_argument("--folder", type=Path, help="where disks and output stay for those who look; else removed")
    arguments = parser.parse_args()
    if (why := why_not()) is not None:
        raise SystemExit(why)
    names = arguments.fault * arguments.rounds if arguments.fault else chaos.drawn(arguments.rounds, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="aurorad-cluster-") as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        with site(folder, "-native_log_initialize") as them:
            them.start()
            try:
                outages = chaos.run(them, names, arguments.seed, lambda line: print(line, flush=True))
            except chaos.Broken as broken:
                raise SystemExit(str(broken)) from None
    for line in chaos.table(outages):
        print(line)


if __name__ == "__main__":
    main()
