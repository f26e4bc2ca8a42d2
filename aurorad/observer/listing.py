"""A folder of a sandbox as lines for people, like ``ls -l`` (observer sheet, section 8)."""

from __future__ import annotations

import functools
import grp
import pwd
import stat
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from aurorad.observer.files import Entry
from aurorad.observer.views import path_url
from aurorad.pages.formats import spelled


class Line(msgspec.Struct, frozen=True):
    """`url` is None for what can neither be entered nor read, `download_url` for what is no regular file."""

    mode: str
    links: int
    user: str
    group: str
    size: int
    modified: str
    name: str
    target: str | None
    url: str | None
    folder: bool
    download_url: str | None


def line(task_id: str, folder: Sequence[str], entry: Entry, year: int) -> Line:
    """One entry of the `folder` (its steps from the sandbox); `year` is the present one."""
    where = path_url(task_id, *folder, entry.name)
    is_folder, is_regular, is_link = stat.S_ISDIR(entry.mode), stat.S_ISREG(entry.mode), stat.S_ISLNK(entry.mode)
    return Line(
        mode=stat.filemode(entry.mode),
        links=entry.links,
        user=_user(entry.uid),
        group=_group(entry.gid),
        size=entry.size,
        modified=_modified(entry.mtime_s, year),
        name=spelled(entry.name),
        target=None if entry.target is None else spelled(entry.target),
        url=f"/file/{where}" if is_regular else f"/browse/{where}" if is_folder or is_link else None,
        folder=is_folder,
        download_url=f"/download/{where}" if is_regular else None,
    )


def _modified(mtime_s: float, year: int) -> str:
    """``Nov 21 04:12``, or with the year instead of the time if it is another one."""
    moment = datetime.fromtimestamp(min(max(mtime_s, 0.0), 253402300799.0), UTC)
    return f"{moment:%b %d %H:%M}" if moment.year == year else f"{moment:%b %d  %Y}"


@functools.lru_cache(1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.lru_cache(1024)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
