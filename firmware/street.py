"""A whole street in one process of MicroPython's unix port: `micropython firmware/street.py CONFIG.json`.

Every meter is the real one: its own storage, keys, clock, store and TCP connection. Two things are simulated: the
energies come from a file instead of a clamp, and the boards' monotonic clock is the domain time that a conductor
deals out, so that a month can pass in minutes. Time-outs and back-off use machine time.

With the conductor the street speaks lines of JSON over TCP:
    street -> {"role": "street"}
    conductor -> {"now_ms": N}         street -> {"settled_ms": N}  when everything due up to N has its verdict
    conductor -> {"query": "stores"}   street -> {"stores": {title: [interval_start, ...]}, "dropped": n}
    conductor -> {"quit": true}        the street closes and exits with 0
"""

import asyncio
import binascii
import gc
import json
import os
import sys


def _project_directory():
    parts = __file__.split("/")[:-2]
    return "/".join(parts) if parts else ".." if "/" not in __file__ else "."


sys.path.insert(0, _project_directory())

from firmware.board import unix  # noqa: E402 - the path has to be set first
from firmware.main import build  # noqa: E402

# Garbage is collected early: frames that wait would otherwise scatter over the heap and leave no large piece free.
_COLLECT_BYTES = 8 << 20

_RETRY_MS = 100
_RETRY_LIMIT_MS = 2000

_SETTINGS = {
    "conductor": list,
    "gateway": list,
    "provisioning": str,
    "energies": str,
    "state": str,
    "measured": str,
    "interval_s": int,
    "detail_s": int,
}


class Unusable(Exception):
    """The configuration or a file that it names cannot be used: one line says why."""


# --- Configuration ----------------------------------------------------------------------------------------------


def read_config(path):
    """Return the checked settings."""
    config = _read_json(path)
    for name in config:
        if name not in _SETTINGS and name != "pid_file":
            raise Unusable("%s: unknown key %s" % (path, name))
    for name, kind in _SETTINGS.items():
        if name not in config:
            raise Unusable("%s: %s is missing" % (path, name))
        if not isinstance(config[name], kind) or isinstance(config[name], bool):
            raise Unusable("%s: %s is of a wrong type" % (path, name))
    for name in ("conductor", "gateway"):
        _check_endpoint(path, name, config[name])
    if not 0 < config["interval_s"] <= 0xFFFF:
        raise Unusable("%s: interval_s must be 1 to 65535" % path)
    if config["detail_s"] <= 0 or config["interval_s"] % config["detail_s"]:
        raise Unusable("%s: detail_s must divide interval_s" % path)
    return config


def _check_endpoint(path, name, endpoint):
    if (
        len(endpoint) != 2
        or not isinstance(endpoint[0], str)
        or not isinstance(endpoint[1], int)
        or not 0 < endpoint[1] <= 65535
    ):
        raise Unusable("%s: %s must be [host, port]" % (path, name))
    if not unix.resolve(endpoint[0], endpoint[1]):
        raise Unusable("%s: %s: the host %s is unknown" % (path, name, endpoint[0]))


def _read_json(path):
    try:
        text = unix.read_file(path)
    except OSError as error:
        raise Unusable("%s: cannot be read (error %d)" % (path, error.errno))
    if text is None:
        raise Unusable("%s: no such file" % path)
    try:
        value = json.loads(text)
    except ValueError:
        raise Unusable("%s: not JSON" % path)
    if not isinstance(value, dict):
        raise Unusable("%s: not a JSON object" % path)
    return value


# --- Energies ---------------------------------------------------------------------------------------------------


class Replay:
    """Reads the energies of detail periods in order, only as far as the most advanced meter has asked.

    Rows may be appended while it runs, as long as they are there before their period begins.
    """

    def __init__(self, path, detail_s):
        self._path = path
        self._detail_s = detail_s
        self._line = 0
        self._waiting = {}  # title -> rows that were read and not asked for yet
        self._file = _open(path, "r")
        self._last = 0
        self._row = self._read()

    def expect(self, title, covered_until):
        """Rows of this meter count from ``covered_until`` (UTC seconds) on; other meters' rows are passed over."""
        self._waiting[title] = [covered_until]

    def energies(self, title, start):
        """Return (import_mwh, export_mwh) of the period that begins at ``start``, or None."""
        if self._row is None:
            self._row = self._read()
        while self._row is not None and self._row[1] <= start:
            waiting = self._waiting.get(self._row[0])
            if waiting is not None and self._row[1] >= waiting[0]:
                waiting.append(self._row[1:])
            self._row = self._read()
        waiting = self._waiting[title]
        found = None
        while len(waiting) > 1 and waiting[1][0] <= start:
            row = waiting.pop(1)
            if row[0] == start:
                found = row[1:]
        waiting[0] = start
        return found

    def _read(self):
        line = self._file.readline().strip()
        if not line:
            return None
        self._line += 1
        try:
            title, start, import_mwh, export_mwh = line.split(",")
            row = (title, int(start), int(import_mwh), int(export_mwh))
        except ValueError:
            raise Unusable("%s, line %d: not title,interval_start,import_mwh,export_mwh" % (self._path, self._line))
        if row[1] % self._detail_s or row[1] < self._last:
            raise Unusable("%s, line %d: a period that is not aligned or not in order" % (self._path, self._line))
        if not 0 <= row[2] <= 0xFFFFFFFF or not 0 <= row[3] <= 0xFFFFFFFF:
            raise Unusable("%s, line %d: an energy outside its range" % (self._path, self._line))
        self._last = row[1]
        return row


class ReplaySensor:
    """The sensor of one meter: what it gives is first written to the street's own record of true energies."""

    def __init__(self, replay, measured, title):
        self._replay = replay
        self._measured = measured
        self._title = title

    def take(self, start_s, _end_s):
        """See instrument.py. The record may repeat a line after a kill; it never lacks one."""
        energies = self._replay.energies(self._title, start_s)
        if energies is not None:
            self._measured.write("%s,%d,%d,%d\n" % (self._title, start_s, energies[0], energies[1]))
            self._measured.flush()
        return energies


def _open(path, mode):
    try:
        return open(path, mode)
    except OSError as error:
        raise Unusable("%s: cannot be opened (error %d)" % (path, error.errno))


# --- The street -------------------------------------------------------------------------------------------------


class Street:
    """The meters by title, the domain time, and what has been reported to the conductor."""

    def __init__(self, config):
        self._config = config
        self._now_ms = None
        self._settled_ms = None
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._telling = asyncio.Lock()  # lines of two tasks must not mix
        self._failure = None
        self._meters = {}
        self._wakes = {}
        self._boards = {}
        self._writer = None
        self._replay = Replay(config["energies"], config["detail_s"])
        self._measured = _open(config["measured"], "a")
        self._titles = _titles(config)

    async def run(self):
        """Until the conductor says quit; raises what went wrong."""
        self._start(self._follow_conductor())
        await self._stopped.wait()
        if self._failure:
            raise self._failure

    def _start(self, work):
        asyncio.create_task(self._guard(work))

    async def _guard(self, work):
        # A task that dies alone would leave a street that never settles.
        try:
            await work
        except Exception as error:  # noqa: BLE001
            self._failure = error
            self._stopped.set()

    # --- Meters -------------------------------------------------------------------------------------------------

    async def _boot(self):
        for title in self._titles:
            self._boot_meter(title)
        self._start(self._measure())
        host, port = self._config["gateway"]
        for title, meter in self._meters.items():
            self._start(self._boards[title].carry(meter.link, host, port, self._wakes[title], self._changed.set))

    def _boot_meter(self, title):
        path = "%s/%s.json" % (self._config["provisioning"], title)
        provisioning = None if unix.read_file(path) is None else _read_json(path)
        board = unix.Board("%s/%s" % (self._config["state"], title), lambda: self._now_ms)
        sensor = ReplaySensor(self._replay, self._measured, title)
        lengths = (self._config["interval_s"], self._config["detail_s"])
        try:
            meter = build(board, sensor, lengths[0], lengths[1], provisioning)
        except ValueError as error:
            raise Unusable("meter %s: %s" % (title, error))
        if binascii.hexlify(meter.keys.enrolment.system_title).decode() != title:
            raise Unusable("meter %s: holds another meter's keys" % title)
        if provisioning is not None:
            os.remove(path)  # the live chain values are in the meter's storage now; these would open the past
        account = meter.store.account
        self._replay.expect(title, account.until if account else 0)
        self._meters[title] = meter
        self._boards[title] = board
        self._wakes[title] = asyncio.Event()

    async def _measure(self):
        """Let every meter account for what has ended, then look whether the street has settled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for title, meter in self._meters.items():
                while meter.instrument.tick(self._now_ms):
                    await asyncio.sleep_ms(0)
                if not meter.link.idle(self._now_ms):
                    self._wakes[title].set()
            await self._report()

    async def _report(self):
        now_ms = self._now_ms
        if self._settled_ms == now_ms:
            return
        for meter in self._meters.values():
            if not meter.link.idle(now_ms) or meter.instrument.due(now_ms):
                return
        if await self._tell({"settled_ms": now_ms}):
            self._settled_ms = now_ms

    # --- Conductor ----------------------------------------------------------------------------------------------

    async def _follow_conductor(self):
        host, port = self._config["conductor"]
        pause = _RETRY_MS
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(host, port)
                await self._tell({"role": "street"})
                while True:
                    line = await reader.readline()
                    if not line.endswith(b"\n"):
                        break
                    pause = _RETRY_MS
                    if await self._obey(line):
                        self._stopped.set()
                        return
            except OSError:
                if self._now_ms is None and pause == _RETRY_MS:
                    print("street: waiting for the conductor at %s:%d" % (host, port), file=sys.stderr)
            if self._writer is not None:
                writer = self._writer
                self._writer = None
                await writer.wait_closed()
            await asyncio.sleep_ms(pause)
            pause = min(2 * pause, _RETRY_LIMIT_MS)

    async def _obey(self, line):
        """Do what a line of the conductor says; returns whether it was to quit."""
        try:
            order = json.loads(line)
        except ValueError:
            order = None
        if not isinstance(order, dict):
            raise Unusable("the conductor sent a line that is no JSON object")
        if order.get("quit"):
            return True
        if order.get("query") == "stores":
            await self._tell_stores()
        if "now_ms" in order:
            self._set_time(order["now_ms"])
        return False

    def _set_time(self, now_ms):
        if not isinstance(now_ms, int) or now_ms < (self._now_ms or 0):
            raise Unusable("the conductor's time went back or is no integer")
        self._settled_ms = None  # a repeated time is answered again
        first = self._now_ms is None
        self._now_ms = now_ms
        if first:
            self._start(self._boot())
        self._changed.set()

    async def _tell_stores(self):
        dropped = 0
        pieces = ['{"stores": {']
        for number, (title, meter) in enumerate(self._meters.items()):
            pieces.append('%s"%s": %s' % (", " if number else "", title, json.dumps(meter.store.readings())))
            dropped += meter.store.dropped
        pieces.append('}, "dropped": %d}' % dropped)
        await self._tell_pieces(pieces)

    async def _tell(self, message):
        return await self._tell_pieces((json.dumps(message),))

    async def _tell_pieces(self, pieces):
        """Send one line in pieces, so that a long one needs no large piece of heap; returns whether it left."""
        async with self._telling:
            writer = self._writer
            if writer is None:
                return False
            try:
                for piece in pieces:
                    writer.write(piece.encode())
                    await writer.drain()
                writer.write(b"\n")
                await writer.drain()
            except OSError:
                return False
        return True


def _titles(config):
    """Return the titles of all meters: those to be provisioned and those that live already."""
    titles = set()
    for directory, ending in ((config["provisioning"], ".json"), (config["state"], "")):
        try:
            names = os.listdir(directory)
        except OSError:
            names = []
        for name in names:
            if len(name) == 16 + len(ending) and name.endswith(ending):
                titles.add(name[:16])
    if not titles:
        raise Unusable("no meter: neither a provisioning file nor a state")
    return sorted(titles)


def main(arguments):
    """Run a street; returns the exit code: 0 after quit, 1 for a failure on the way, 2 for a wrong configuration."""
    if len(arguments) != 1:
        print("usage: micropython firmware/street.py CONFIG.json", file=sys.stderr)
        return 2
    try:
        config = read_config(arguments[0])
        if "pid_file" in config:
            with _open(config["pid_file"], "w") as file:
                file.write(unix.process_id())
        street = Street(config)
    except Unusable as error:
        print("street:", error, file=sys.stderr)
        return 2
    gc.threshold(_COLLECT_BYTES)
    try:
        asyncio.run(street.run())
    except Unusable as error:
        print("street:", error, file=sys.stderr)
        return 1
    except MemoryError:
        print("street: out of memory; give it more: micropython -X heapsize=64M", file=sys.stderr)
        return 1
    except OSError as error:
        print("street: a file or a socket failed, error", error.errno, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
