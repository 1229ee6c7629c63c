"""What a disk may hold after a power cut: everything synced, and of the rest whatever chance has written. Pure.

The model, for each file of the ledger:
- what was written before the file's last sync is there;
- each later write, truncation, creation and deletion is there or not, on its own and in any mixture; a write may be
  torn at sectors of 512 bytes, each new or old; where a later write has lengthened the file, the hole holds zeros or
  whatever lay there;
- a file's creation or deletion lasts once the folder is synced, which SQLite does with a new journal's or log's
  first sync.
- the shared index (-shm) is never synced: it is missing, empty, noise, or true of an earlier moment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from .disk import CREATE, DELETE, SYNC, TRUNCATE, WRITE, Operation

SECTOR = 512
JOURNALS = ("-journal", "-wal")
SHARED_INDEX_BYTES = 32_768


@dataclass
class _File:
    held: bytes | None = None
    pending: list[Operation] = field(default_factory=list)
    new: bool = True


class Platter:
    """A disk to which operations are done one after the other, and which can say what a cut would leave."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def do(self, operations: Iterable[Operation]) -> None:
        """Go on in time."""
        for operation in operations:
            file = self._files.setdefault(operation.file, _File())
            if operation.kind != SYNC:
                file.pending.append(operation)
                if operation.kind == DELETE:
                    file.new = True
                    if operation.durable:
                        self._sync_folder()
                continue
            if file.new and operation.file.endswith(JOURNALS):
                self._sync_folder()
            file.new = False
            for waiting in file.pending:
                file.held = _done(file.held, waiting)
            file.pending.clear()

    def after_cut(self, chance: Random) -> dict[str, bytes]:
        """Return what each file may hold when the power fails now; a file that is missing has no entry."""
        kept = chance.choice((0.0, 1.0, chance.random()))  # of the unsynced: none, all, a part
        torn = chance.choice((0.0, 0.5))
        left = {}
        for name, file in sorted(self._files.items()):
            held = file.held
            for operation in file.pending:
                if chance.random() < torn and operation.kind == WRITE:
                    held = _torn(held, operation, chance)
                elif chance.random() < kept:
                    held = _done(held, operation, chance)
            if held is not None:
                left[name] = held
        return left

    def _sync_folder(self) -> None:
        for file in self._files.values():
            for at, operation in reversed(list(enumerate(file.pending))):
                if operation.kind == DELETE:
                    file.held = None
                    del file.pending[: at + 1]
                    break
            for at, operation in enumerate(file.pending):
                if operation.kind == CREATE:
                    file.held = file.held or b""
                    del file.pending[at]
                    break


def shared_index(chance: Random, earlier: list[bytes]) -> bytes | None:
    """Return what may stand in the file of the shared index, None where it is missing."""
    noise = chance.randbytes(SHARED_INDEX_BYTES)
    return chance.choice([None, b"", bytes(SHARED_INDEX_BYTES), noise, *earlier[-3:]])


def _done(held: bytes | None, operation: Operation, chance: Random | None = None) -> bytes | None:
    if operation.kind == CREATE:
        return held or b""
    if operation.kind == DELETE or held is None:
        return None  # what was written to a file that the folder does not name is lost with it
    if operation.kind == TRUNCATE:
        return held[: operation.at].ljust(operation.at, b"\0")
    return _put(_reaching(held, operation.at, chance), operation.at, operation.data)


def _torn(held: bytes | None, write: Operation, chance: Random) -> bytes | None:
    """Do a write in part: each of its sectors, on its own, or not."""
    at, end = write.at, write.at + len(write.data)
    while held is not None and at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR)
        if chance.random() < 0.5:
            held = _put(_reaching(held, at, chance), at, write.data[at - write.at : stop - write.at])
        at = stop
    return held


def _reaching(held: bytes, length: int, chance: Random | None) -> bytes:
    hole = length - len(held)
    if hole <= 0:
        return held
    return held + (bytes(hole) if chance is None or chance.random() < 0.5 else chance.randbytes(hole))


def _put(held: bytes, at: int, data: bytes) -> bytes:
    return held[:at] + data + held[at + len(data) :]
