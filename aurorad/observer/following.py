"""A file that grows, followed over its rotations and truncations.

A log that is rotated becomes ``stdout.1`` and a new one takes its place, perhaps several times between two looks. What
is followed is the file, by its inode, and not the name: it is read to its end, then the one that came after it.
"""

from __future__ import annotations

import codecs
import os
import re
from typing import Literal

import msgspec

from aurorad.observer import files, walk
from aurorad.observer.files import File
from aurorad.observer.walk import Opened, Refused

PIECE_BYTES = 64 << 10
FAR_BYTES = 1 << 20
"""Whoever is so far behind is taken to the end: nobody reads so much, and memory of pages is finite."""

_POSITION = re.compile(r"(\d{1,20})-(\d{1,18})", re.ASCII)

Kind = Literal["text", "cut", "rotated", "skipped"]


class Position(msgspec.Struct, frozen=True):
    """Up to where a follower has read, written as ``<inode>-<offset>``."""

    inode: int
    offset: int

    def __str__(self) -> str:
        return f"{self.inode}-{self.offset}"

    @classmethod
    def read(cls, text: str) -> Position | None:
        match = _POSITION.fullmatch(text)
        return None if match is None else cls(int(match[1]), int(match[2]))


class Piece(msgspec.Struct, frozen=True):
    """What happened: `text` came; or the file was `cut` and begins anew, was `rotated` away, or some was `skipped`.

    `position` is where to go on after it.
    """

    kind: Kind
    position: Position
    text: str = ""


class Following:
    """Where one reader of a file is. Its methods ask the disk."""

    def __init__(self, file: File, start: Position | None) -> None:
        """From `start`, or from what is now the end of the file. The file need not be there yet."""
        self._file = file
        self._start = start
        self._fd = -1
        self._inode = 0
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self) -> Piece | None:
        """What comes next, at most `PIECE_BYTES` of it; None if there is nothing new. Raises `OSError`."""
        if self._fd < 0 and not self._begin():
            return None
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._go_to(0)
            return self._piece("cut")
        if size - self._offset > FAR_BYTES:
            start = size - PIECE_BYTES
            self._go_to(start + os.pread(self._fd, PIECE_BYTES, start).find(b"\n") + 1)
            return self._piece("skipped")
        piece = self._read_on()
        if piece is not None:
            return piece
        successor = self._successor()
        if successor is None:
            return None
        piece = self._read_on()  # written after the last look, before the file was rotated away
        if piece is not None:
            os.close(successor.fd)
            return piece
        self._take(successor, 0)
        return self._piece("rotated")

    def _begin(self) -> bool:
        start = self._start
        opened = self._open(self._file)
        if opened is None:
            return False
        if start is None:
            self._take(opened, opened.status.st_size)
        elif opened.status.st_ino == start.inode:
            self._take(opened, start.offset)
        elif (old := self._rotated_away(start.inode)) is not None:
            os.close(opened.fd)
            self._take(old, start.offset)
        else:
            self._take(opened, 0)
        return True

    def _take(self, opened: Opened, offset: int) -> None:
        self.close()
        self._fd, self._inode = opened.fd, opened.status.st_ino
        self._go_to(offset)

    def _go_to(self, offset: int) -> None:
        self._offset = offset
        self._decoder.reset()

    def _piece(self, kind: Kind, text: str = "") -> Piece:
        pending = len(self._decoder.getstate()[0])  # of a character whose rest is still to come
        return Piece(kind, Position(self._inode, self._offset - pending), text)

    def _read_on(self) -> Piece | None:
        data = os.pread(self._fd, PIECE_BYTES, self._offset)
        self._offset += len(data)
        text = self._decoder.decode(data)
        return self._piece("text", text) if text else None

    @staticmethod
    def _open(file: File) -> Opened | None:
        try:
            return walk.regular_file(file.place, file.relative)
        except Refused:
            return None

    def _rotated_away(self, inode: int) -> Opened | None:
        for old in files.rotated(self._file):
            opened = self._open(self._file.sibling(old.name))
            if opened is not None and opened.status.st_ino == inode:
                return opened
            if opened is not None:
                os.close(opened.fd)
        return None

    def _successor(self) -> Opened | None:
        """The file that came after this one; None if this is still the latest."""
        latest = self._open(self._file)
        if latest is None or latest.status.st_ino == self._inode:
            if latest is not None:
                os.close(latest.fd)
            return None
        changed_ns = os.fstat(self._fd).st_mtime_ns
        later = [latest]
        for old in files.rotated(self._file):  # latest first
            opened = self._open(self._file.sibling(old.name))
            if opened is None:
                continue
            if opened.status.st_ino == self._inode or opened.status.st_mtime_ns < changed_ns:
                os.close(opened.fd)
                break
            later.append(opened)
        for passed in later[:-1]:
            os.close(passed.fd)
        return later[-1]
