"""Storage in files, on every board: MicroPython's LittleFS writes through when a file is closed.

On the unix port a file survives the death of the process from the moment its write returns. That port offers no
fsync, so what a power cut does to the host is its file system's affair.
"""

import os


class Storage:
    """Named pieces of bytes in one directory."""

    def __init__(self, directory):
        make_directories(directory)
        self._directory = directory + "/"

    def read(self, name):
        """Return the bytes of a piece, or None where there is none."""
        return read_file(self._directory + name)

    def replace(self, name, data):
        """Replace a piece as a whole: a kill leaves the old or the new one."""
        fresh = self._directory + name + ".new"
        with open(fresh, "wb") as file:
            _write(file, data)
        os.rename(fresh, self._directory + name)

    def append(self, name, data):
        """Append to a piece; a kill may leave a part of ``data``."""
        with open(self._directory + name, "ab") as file:
            _write(file, data)


def read_file(path):
    """Return the bytes of a file, or None where there is none."""
    try:
        with open(path, "rb") as file:
            # Read in one piece of the right size: one that grows needs room in one piece for twice as much.
            size = file.seek(0, 2)
            file.seek(0)
            return file.read(size)
    except OSError as error:
        if error.errno != 2:  # ENOENT
            raise
        return None


def make_directories(path):
    """Make a directory and those above it, where they are missing."""
    made = ""
    for part in path.split("/"):
        made += part + "/"
        try:
            os.stat(made)
        except OSError:
            os.mkdir(made.rstrip("/") or "/")


def _write(file, data):
    if file.write(data) != len(data):
        raise OSError(28)  # ENOSPC
