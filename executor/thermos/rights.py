"""What a user's files ask of root is done with that user's rights.

A checkpoint names processes to kill and folders to remove. Whoever may write it could name anybody's, so root does
nothing on its word that its writer could not have done alone.
"""

from __future__ import annotations

import codecs
import os
import pwd
from collections.abc import Callable
from pathlib import Path

from executor.process import become_user
from executor.sandbox import User


class Failed(Exception):
    """The work could not be done; the text says why."""


def owner_of(path: Path) -> int:
    """The uid of whoever may say what is in it; a link's own. Raises `OSError`."""
    return path.lstat().st_uid


def as_user(uid: int, work: Callable[[], str]) -> str:
    """What `work` gives, done with the rights of that user if we are root and it is another. Raises `Failed`.

    It then happens in a fork of this process, which must have no threads.
    """
    if os.geteuid() != 0 or uid == 0:
        try:
            return work()
        except Exception as error:
            raise Failed(str(error)) from error
    codecs.lookup("ascii")  # what is imported late may lie where the user cannot read
    answer, answer_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _work(uid, work, answer_end)
    os.close(answer_end)
    with os.fdopen(answer, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise Failed(said or "ended without an answer")
    return said


def _work(uid: int, work: Callable[[], str], answer: int) -> None:
    code = 1
    try:
        become_user(_user(uid))
        text = work()
        code = 0
    except BaseException as error:
        text = str(error) or repr(error)
    try:
        os.write(answer, text.encode(errors="replace"))
    finally:
        os._exit(code)


def _user(uid: int) -> User:
    """Of one that has no account any more, only the number."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return User(str(uid), uid, uid, (), drop=True)
    return User(entry.pw_name, uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)), drop=True)
