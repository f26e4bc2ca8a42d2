"""Being somebody whom folders can be closed to: root may enter everywhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


def let_others_in(folder: Path) -> None:
    """Pytest closes its folders to all other users."""
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(0o711)


@contextmanager
def somebody() -> Iterator[Path]:
    """A folder of one's own, and no more rights than its owner has. What is imported meanwhile may not be found."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
