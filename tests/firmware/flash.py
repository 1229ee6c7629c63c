"""Flash that loses its power: models of what the boards' storage stands on, cut at any operation. Both interpreters.

The storage classes are the boards' own (firmware/board); below them are, in place of the file system and of NVS:
LITTLEFS: what was written counts from the file's closing on, at once or not at all; renaming is one step.
HOST: what was written counts at once, as far as it came; opening for writing empties the file; renaming is one step.
NVS: a blob counts once it is committed; cut before that, the old one or, as ESP-IDF may write early, the new one.
"""

import sys

from bench import PowerCut

MODES = ("before", "torn", "after")


class Dice:
    """Numbers that are the same on both interpreters."""

    def __init__(self, seed):
        self._state = seed * 2654435761 % (1 << 32)
        for _ in range(8):
            self.below(2)

    def below(self, limit):
        self._state = (self._state * 1664525 + 1013904223) % (1 << 32)
        return (self._state >> 12) % limit


class Supply:
    """Counts operations of the flash and fails at some of them; ``cuts`` are (operation, mode)."""

    def __init__(self, cuts=(), seed=0):
        self.count = 0
        self.cuts = list(cuts)
        self.dice = Dice(seed)
        self.kinds = {}

    def operate(self, kind, effect, torn=None):
        """Do an operation; ``effect(None)`` does it, ``torn(dice)`` a part of it: by default all or nothing of it."""
        self.count += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if not self.cuts or self.cuts[0][0] != self.count:
            return effect()
        mode = self.cuts.pop(0)[1]
        if mode == "after" or (mode == "torn" and torn is None and self.dice.below(2)):
            effect()
        elif mode == "torn" and torn is not None:
            torn(self.dice)
        raise PowerCut


class Files:
    """A file system in place of ``open`` and ``os``."""

    def __init__(self, supply, littlefs):
        self.supply = supply
        self.files = {}
        self.littlefs = littlefs

    def open(self, path, mode="r"):
        if mode == "rb":
            if path not in self.files:
                raise OSError(2, "ENOENT")
            return _Reader(self.files[path])
        writer = _Writer(self, path, self.files.get(path, b"") if mode == "ab" else b"")
        if self.littlefs:
            self.supply.operate("open", lambda: None)
        else:
            self.supply.operate("open", writer.store)
        return writer

    def rename(self, old, new):
        def effect():
            self.files[new] = self.files.pop(old)

        self.supply.operate("rename", effect)

    def stat(self, path):
        return ()

    def mkdir(self, path):
        raise OSError(17, "EEXIST")


class _Reader:
    def __init__(self, data):
        self._data = data
        self._at = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def seek(self, offset, whence=0):
        self._at = offset + (len(self._data) if whence == 2 else 0)
        return self._at

    def read(self, size):
        return self._data[self._at : self._at + size]


class _Writer:
    def __init__(self, files, path, data):
        self._files = files
        self._path = path
        self._data = data

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        if kind is None and self._files.littlefs:
            self._files.supply.operate("close", self.store)

    def store(self):
        self._files.files[self._path] = self._data

    def write(self, data):
        data = bytes(data)
        before = self._data

        def effect():
            self._data = before + data
            if not self._files.littlefs:
                self.store()

        def torn(dice):
            self._data = before + data[: dice.below(len(data) + 1)]
            if not self._files.littlefs:
                self.store()

        self._files.supply.operate("write", effect, torn)
        return len(data)


class Nvs:
    """In place of the module ``esp32``: one namespace of blobs."""

    def __init__(self, supply):
        self.supply = supply
        self.blobs = {}
        self._staged = {}

    def NVS(self, namespace):
        self._staged = {}
        return self

    def get_blob(self, name, buffer):
        data = self._staged.get(name, self.blobs.get(name))
        if data is None:
            raise OSError(-0x1102)
        buffer[: len(data)] = data
        return len(data)

    def set_blob(self, name, data):
        data = bytes(data)

        def effect():
            self._staged[name] = data

        def torn(dice):
            if dice.below(2):
                self.blobs[name] = data

        self.supply.operate("set", effect, torn)

    def commit(self):
        staged = self._staged

        def effect():
            self.blobs.update(staged)

        self.supply.operate("commit", effect)
        self._staged = {}


class Littlefs:
    """A board's files on LittleFS."""

    littlefs = True

    def __init__(self, supply):
        self._files = Files(supply, self.littlefs)

    def power_on(self):
        """Return the board's Storage as it finds it."""
        from firmware.board import files

        files.open, files.os = self._files.open, self._files
        return files.Storage("meter")


class Host(Littlefs):
    """The unix port's files."""

    littlefs = False


class Esp32(Littlefs):
    """NVS for what is small, LittleFS for the rest."""

    def __init__(self, supply):
        Littlefs.__init__(self, supply)
        self._nvs = Nvs(supply)

    def power_on(self):
        Littlefs.power_on(self)
        sys.modules["esp32"] = self._nvs
        from firmware.board import nvs

        nvs.esp32 = self._nvs
        return nvs.NvsStorage("meter")


MEDIA = {"littlefs": Littlefs, "host": Host, "esp32": Esp32}


def power_off():
    """Give the modules back what they had."""
    import builtins
    import os

    from firmware.board import files

    files.open, files.os = builtins.open, os
