"""A disk between SQLite and the file system: it sees every write, truncation, sync and deletion, and may refuse one.

Strategy: the SQLite that Python's own ``sqlite3`` has loaded is given one more VFS, a copy of its default one with
five functions replaced, and that becomes the default. So the concentrator's ledger runs unchanged, on the library
that runs it in the street, and nothing that it asks of a disk goes past this file. The shared index (-shm) is
memory to SQLite, never synced, and is not seen here.
"""

import _sqlite3
import ctypes
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_longlong, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

CREATE, WRITE, TRUNCATE, SYNC, DELETE = "create", "write", "truncate", "sync", "delete"

# What SQLite is told (its result codes and extended codes).
OK = 0
FULL = 13  # ENOSPC
IOERR_WRITE = 778
IOERR_FSYNC = 1034
IOERR_TRUNCATE = 1546
IOERR_DELETE = 2570
FAILURES = {WRITE: IOERR_WRITE, SYNC: IOERR_FSYNC, TRUNCATE: IOERR_TRUNCATE, DELETE: IOERR_DELETE}

NAME = b"hushmeter-torture"
OPEN_CREATE = 0x4


class DiskError(Exception):
    """The SQLite of this Python cannot be reached; the message says why and what to do."""


class Operation(NamedTuple):
    """One thing that SQLite asked of a file. ``at`` is an offset or, of a truncation, the new length in bytes.

    ``durable`` says of a deletion that the folder is synced with it.
    """

    kind: str
    file: str
    at: int = 0
    data: bytes = b""
    durable: bool = False


# Asked before an operation is done: OK lets it be done, any other result code is its failure.
Watch = Callable[[Operation], int]


class _Methods(Structure):
    _fields_ = (
        ("iVersion", c_int),
        *(
            (name, c_void_p)
            for name in (
                *("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock"),
                *("xCheckReservedLock", "xFileControl", "xSectorSize", "xDeviceCharacteristics"),
                *("xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch"),
            )
        ),
    )


class _File(Structure):
    _fields_ = (("pMethods", POINTER(_Methods)),)


class _Vfs(Structure):
    _fields_ = (
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        *(
            (name, c_void_p)
            for name in (
                *("xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose"),
                *("xRandomness", "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64"),
                *("xSetSystemCall", "xGetSystemCall", "xNextSystemCall"),
            )
        ),
    )


_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_longlong)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_longlong)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


def _library() -> Any:
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    try:
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        library.sqlite3_libversion.restype = c_char_p
        library.sqlite3_vfs_register.argtypes = (c_void_p, c_int)
    except AttributeError:
        raise DiskError(
            "this Python hides its SQLite: use one that is linked with the system's libsqlite3, as Debian's is"
        ) from None
    if library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
        raise DiskError("another SQLite was found than the one that this Python uses")
    return library


class _Shim:
    """The VFS. One for a process; it stays in memory for good, as SQLite may hold on to it."""

    def __init__(self) -> None:
        self.watch: Watch = lambda _: OK
        self._library = _library()
        self._default = self._library.sqlite3_vfs_find(None)
        original = self._default.contents
        self._names: dict[int, str] = {}
        self._watches: dict[int, Watch] = {}  # by open file
        self._watches_of: dict[str, Watch] = {}  # by path: of a deletion nothing else is told
        self._patched: dict[int, _Methods] = {}
        self._open = ctypes.cast(original.xOpen, _OPEN)
        self._delete = ctypes.cast(original.xDelete, _DELETE)
        self._held: list[Any] = [_OPEN(self.x_open), _DELETE(self.x_delete)]
        self._vfs = _Vfs.from_buffer_copy(original)
        self._vfs.zName = NAME
        self._vfs.pNext = None
        self._vfs.xOpen, self._vfs.xDelete = (ctypes.cast(each, c_void_p).value for each in self._held)

    def register(self, *, default: bool) -> None:
        """Make this VFS the default one, or the one that was it before."""
        which = ctypes.addressof(self._vfs) if default else ctypes.cast(self._default, c_void_p)
        self._library.sqlite3_vfs_register(which, 1)

    def x_open(self, _: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        """Open a file and put this VFS's functions in the place of its own."""
        path = None if name is None else os.fsdecode(ctypes.string_at(name))
        new = path is not None and flags & OPEN_CREATE and not Path(path).exists()
        done: int = self._open(ctypes.cast(self._default, c_void_p), name, file, flags, out)
        methods = _File.from_address(file).pMethods
        if done != OK or path is None or not methods:
            return done
        self._names[file] = Path(path).name
        self._watches[file] = self._watches_of[path] = self.watch
        if new:
            self.watch(Operation(CREATE, self._names[file]))
        address = ctypes.addressof(methods.contents)
        if address not in self._patched:
            self._patched[address] = self._patch(methods.contents)
        _File.from_address(file).pMethods = ctypes.pointer(self._patched[address])
        return done

    def _patch(self, original: _Methods) -> _Methods:
        write = ctypes.cast(original.xWrite, _WRITE)
        truncate = ctypes.cast(original.xTruncate, _TRUNCATE)
        sync = ctypes.cast(original.xSync, _SYNC)

        def x_write(file: int, data: int, length: int, at: int) -> int:
            operation = Operation(WRITE, self._names[file], at, ctypes.string_at(data, length))
            return self._watches[file](operation) or write(file, data, length, at)

        def x_truncate(file: int, length: int) -> int:
            operation = Operation(TRUNCATE, self._names[file], length)
            return self._watches[file](operation) or truncate(file, length)

        def x_sync(file: int, flags: int) -> int:
            return self._watches[file](Operation(SYNC, self._names[file])) or sync(file, flags)

        functions = _WRITE(x_write), _TRUNCATE(x_truncate), _SYNC(x_sync)
        self._held += functions
        patched = _Methods.from_buffer_copy(original)
        patched.xWrite, patched.xTruncate, patched.xSync = (ctypes.cast(each, c_void_p).value for each in functions)
        return patched

    def x_delete(self, _: int, name: bytes, sync_folder: int) -> int:
        """Delete a file."""
        path = os.fsdecode(name)
        operation = Operation(DELETE, Path(path).name, durable=bool(sync_folder))
        return self._watches_of.get(path, self.watch)(operation) or self._delete(
            ctypes.cast(self._default, c_void_p), name, sync_folder
        )


_shim: list[_Shim] = []


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let every ledger that is opened inside be asked for; one at a time in a process. Raises DiskError.

    A connection that was opened inside and lives on is still seen by the same watch, and by no later one.
    """
    if not _shim:
        _shim.append(_Shim())
    shim = _shim[0]
    shim.watch = watch
    shim.register(default=True)
    try:
        yield
    finally:
        shim.register(default=False)
        shim.watch = lambda _: OK
