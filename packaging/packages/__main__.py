"""Writes .deb and .rpm of all packages into dist/packages, out of what dist has: `make packages`."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
from email.utils import formatdate
from pathlib import Path

import debian
import redhat
from description import MAINTAINER, PACKAGES
from tree import REPOSITORY, lay_out


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
    kinds = {"deb": debian, "rpm": redhat}
    for package in PACKAGES:
        if given.only and package.name not in given.only:
            continue
        for kind in given.kind or kinds:
            with tempfile.TemporaryDirectory(dir=given.target) as work:
                root = Path(work, package.name)
                root.mkdir()
                lay_out(package, root, kinds[kind].PLACES, _changelog(package.name, given.version), _licences())
                file = kinds[kind].build(package, given.version, root, given.target.absolute())
                print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB", flush=True)


def _version() -> str:
    found = re.search(r'__version__ = "(.+)"', (REPOSITORY / "aurorad/__init__.py").read_text())
    assert found
    return found[1]


def _changelog(name: str, version: str) -> str:
    """In Debian's format."""
    when = formatdate(int(os.environ["SOURCE_DATE_EPOCH"]))
    return f"{name} ({version}) unstable; urgency=medium\n\n  * Version {version}.\n\n -- {MAINTAINER}  {when}\n"


def _licences() -> str:
    return (REPOSITORY / "LICENSE").read_text()


if __name__ == "__main__":
    main()
