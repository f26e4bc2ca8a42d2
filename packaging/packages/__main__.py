"""Writes .deb and .rpm of all packages into dist/packages, out of what dist has: `make packages`."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import debian
import redhat
from description import MAINTAINER, PACKAGES, REPOSITORY, Package
from tree import lay_out

KINDS = {"deb": debian, "rpm": redhat}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--version", default=_version(), help="another version than the one of this tree")
    options.add_argument("--only", action="append", help="this package; again for more")
    options.add_argument("--kind", action="append", choices=["deb", "rpm"], help="packages of this kind")
    options.add_argument("target", type=Path, nargs="?", default=REPOSITORY / "dist/packages")
    given = options.parse_args()
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(int(time.time())))
    os.umask(0o022)
    given.target.mkdir(parents=True, exist_ok=True)
    wanted = [
        (package, kind)
        for package in PACKAGES
        if package.name in (given.only or [package.name])
        for kind in given.kind or KINDS
    ]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # what takes long is compression, by programs of their own
        for file in threads.map(lambda one: _build(one[0], one[1], given.version, given.target.absolute()), wanted):
            print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB", flush=True)


def _build(package: Package, kind: str, version: str, target: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=target) as work:
        root = Path(work, package.name)
        root.mkdir()
        lay_out(package, root, KINDS[kind].PLACES, _changelog(package.name, version))
        file: Path = KINDS[kind].build(package, version, root, target)
        return file


def _version() -> str:
    found = re.search(r'__version__ = "(.+)"', (REPOSITORY / "aurorad/__init__.py").read_text())
    assert found
    return found[1]


def _changelog(name: str, version: str) -> str:
    """In Debian's format."""
    when = formatdate(int(os.environ["SOURCE_DATE_EPOCH"]))
    return f"{name} ({version}) unstable; urgency=medium\n\n  * Version {version}.\n\n -- {MAINTAINER}  {when}\n"


if __name__ == "__main__":
    main()
