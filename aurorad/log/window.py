"""Reading of a journal's records, in the order in which they lie there or any other."""

from __future__ import annotations

from aurorad.log import sectors, walk
from aurorad.log.disk import UNREADABLE, Disk, File
from aurorad.log.errors import LogDamaged
from aurorad.log.index import Place
from aurorad.log.messages import Record
from aurorad.log.sectors import Batch
from aurorad.log.walk import name_of

_BYTES = 256 << 10


class Window:
    """A part of a file in memory, so that records that follow one another cost one call for many."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._file = -1
        self._offset = 0
        self._data = b""

    def record(self, file: File, place: Place) -> Record:
        """Raises `LogDamaged` if it is no more what it was when it was indexed, or cannot be read."""
        batch = self._batch(place) if place.file == self._file else None
        if batch is None or batch.header.checksum != place.checksum:
            self._read(file, place)
            batch = self._batch(place)
        if batch is None or batch.header.checksum != place.checksum:
            raise self._damaged(place, "the checksum does not match")
        return walk.records_of(batch)[place.record]

    def _batch(self, place: Place) -> Batch | None:
        return sectors.decode(self._data, place.offset - self._offset) if place.offset >= self._offset else None

    def _read(self, file: File, place: Place) -> None:
        try:
            data = file.read(_BYTES, place.offset)
            header = sectors.header(data, 0)
            if header is not None and header.length > len(data):
                data = file.read(header.length, place.offset)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            raise self._damaged(place, f"it cannot be read: {error.strerror}") from error
        self._file, self._offset, self._data = place.file, place.offset, data

    def _damaged(self, place: Place, what: str) -> LogDamaged:
        return LogDamaged(self._disk.describe(name_of(place.file)), place.offset, what)
