"""Reading a folder that an enemy may have made: regular files only, none of them without a limit."""

import csv
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from protocol.documents import Document, DocumentError, parse

from .outcome import Unusable, Wrong

ABOUT_BYTES = 1 << 16
# A signed document, in a file or on a line: a mebibyte of content is 1.4 MB of base64url.
DOCUMENT_BYTES = 1 << 21
DOCUMENTS_BYTES = 1 << 36
TABLE_LINE_BYTES = 1 << 12
TABLE_BYTES = 1 << 32
MOST_FILES = 100_000


def read_whole(path: Path, most: int) -> bytes:
    """Return what stands in a file; raises Unusable where it is longer than ``most`` bytes."""
    try:
        with _open(path, most) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise Unusable(f"{path}: longer than {most} bytes")
    return data


def documents_of(path: Path, name: str) -> Iterator[tuple[str, Document]]:
    """Yield the signed documents of a file, one a line, with what a line is called; unverified."""
    for number, line in enumerate(_lines(path, DOCUMENT_BYTES, DOCUMENTS_BYTES), 1):
        try:
            yield f"{name} {number}", parse(line, Document)
        except DocumentError as error:
            raise Wrong(f"{name} {number} of {path.name}: {error}") from None


def rows_of(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a table."""
    try:
        yield from csv.reader(line.decode() for line in _lines(path, TABLE_LINE_BYTES, TABLE_BYTES))
    except (csv.Error, UnicodeDecodeError):
        raise Wrong(f"{path.name}: not a table of comma-separated values") from None


def json_files(folder: Path, *, given: bool = False) -> list[Path]:
    """Return the *.json of a folder in order; none where there is no folder.

    Only a folder that the reader has ``given`` may be a symbolic link.
    """
    try:
        if not stat.S_ISDIR((folder.stat() if given else folder.lstat()).st_mode):
            raise Unusable(f"{folder}: not a folder")
        found = []
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number == MOST_FILES:
                    raise Unusable(f"{folder}: more than {MOST_FILES} files")
                if entry.name.endswith(".json"):
                    found.append(folder / entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from None
    return sorted(found)


def _lines(path: Path, most_line: int, most: int) -> Iterator[bytes]:
    try:
        with _open(path, most) as file:
            number = 0
            while line := file.readline(most_line + 1):
                number += 1
                if len(line) > most_line:
                    raise Unusable(f"{path}: line {number} is longer than {most_line} bytes")
                yield line
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None


def _open(path: Path, most: int) -> BinaryIO:
    """Open a regular file of at most ``most`` bytes, following no link and waiting for no writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unusable(f"{path}: a symbolic link, which is not followed") from None
        raise
    file = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if file is None:
        os.close(descriptor)
        raise Unusable(f"{path}: not a regular file")
    if os.fstat(descriptor).st_size > most:
        file.close()
        raise Unusable(f"{path}: longer than {most} bytes")
    return file
