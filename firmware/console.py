"""The meter's console: answers questions while the meter runs, and what a person's tools do to one that is stopped.

Running, it takes a line `status` or `registers` and answers with one line of JSON behind `hushmeter `; a key that is
asked for is no question. Stopped, each function prints one line of JSON. Nothing prints a key.
"""

import asyncio
import json
import select
import sys

from firmware import configuration, enrolling, status
from firmware.board import boards
from firmware.main import VERSION
from firmware.meter.seal import Ccm
from firmware.meter.store import Store

MARK = "hushmeter "
_LONGEST = 16  # characters of a question
_LOOK_MS = 100
_SELFTEST = "selftest"  # the piece of storage that is written and read
# RFC 3610, packet vector 1, with its tag of 8 bytes
_CCM_KEY = bytes(range(0xC0, 0xD0))
_CCM_NONCE = b"\x00\x00\x00\x03\x02\x01\x00\xa0\xa1\xa2\xa3\xa4\xa5"
_CCM_SEALED = (
    b"\x58\x8c\x97\x9a\x61\xc6\x63\xd2\xf0\x66\xd0\xc2\xc0\xf9\x89\x80\x6d\x5f\x6b\x61\xda\xc3\x84\x17\xe8\xd1\x2c\xfd"
    b"\xf9\x26\xe0"
)


# --- Of a meter that runs ---------------------------------------------------------------------------------------


async def answer(meter, settings, board):
    """Answer the console's questions for ever, or until its input ends."""
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    line = b""
    while True:
        while poller.poll(0):
            byte = sys.stdin.buffer.read(1)
            if not byte:
                return
            if byte not in b"\r\n":
                line = (line + byte)[-_LONGEST:]
            elif line:
                _reply(line, meter, settings, board)
                line = b""
        await asyncio.sleep_ms(_LOOK_MS)


def reply(question, meter, settings, board):
    """Return the answer to a question (bytes), or None to what is none."""
    if question == b"status":
        return status.status(VERSION, meter, settings, board.monotonic_ms(), boards.signal_dbm())
    if question == b"registers":
        # With what is in no period yet: a meter without a line has no other way to show that it counts.
        energies = zip(meter.store.registers, meter.store.spare)
        return dict(zip(("import_mwh", "export_mwh"), map(sum, energies)))
    return None


def _reply(question, meter, settings, board):
    found = reply(question, meter, settings, board)
    if found is not None:
        print("\n" + MARK + json.dumps(found))


# --- Of a meter that is stopped ---------------------------------------------------------------------------------


def look(storage=None):
    """Print what is stored: whose meter it is, and what would be lost with it. ``version``: the firmware's."""
    storage = storage or boards.storage()
    found = {
        "version": VERSION,
        "title": None,
        "keys": "none",
        "waiting": None,
        "counter": bool(storage.read("counter")),
    }
    try:
        title = enrolling.title(storage)
        if title:
            found["title"] = status._hex(title)
            found["keys"] = "whole"
    except ValueError:
        found["keys"] = "damaged"
    try:
        held = Store(storage)
        found["waiting"] = len(held)
        found["registers"] = held.account is not None
    except ValueError:
        found["registers"] = None  # what is there cannot be read
    settings = configuration.load(storage)
    found["configured"] = bool(storage.read(configuration.NAME))
    found["trouble"] = settings.trouble
    found["wifi_name"] = settings.values["wifi_name"]
    found["password"] = bool(storage.read(configuration.PASSWORD_NAME))
    print(json.dumps(found))


def configure(text, password=None, storage=None):
    """Store a configuration, a JSON object, and the Wi-Fi password (None: the one that is there stays)."""
    storage = storage or boards.storage()
    try:
        configuration.save(storage, json.loads(text))
    except configuration.Unusable as error:
        print(json.dumps({"refused": str(error)}))
        return
    if password is not None:
        storage.replace(configuration.PASSWORD_NAME, password.encode())
    print(json.dumps({"stored": True}))


def enrol(text, replace=False, storage=None):
    """Store an enrolment, a JSON object; says whose meter it is now, or why it was refused."""
    storage = storage or boards.storage()
    try:
        title = enrolling.enrol(storage, json.loads(text), replace)
    except ValueError as error:
        print(json.dumps({"refused": str(error)}))
        return
    print(json.dumps({"title": status._hex(title)}))


def selftest(board=None):
    """Print what this board can do: storage, sealing, converter's levels, memory; what fails is in ``faults``."""
    faults = []
    storage = board.storage if board else boards.storage()
    settings = configuration.load(storage)
    if settings.trouble:
        faults.append(settings.trouble)
    try:
        board = board or boards.here(dict(settings.values, watchdog_ms=0), configuration.password(storage))
    except (ValueError, OSError) as error:
        faults.append("the board cannot be built so: " + str(error))
    found = {"system": status.system(), "link": settings.values["link"], "levels": None}
    converter = getattr(board, "converter", None)
    if converter:
        found["channels"], found["rate_hz"] = converter.channels, converter.rate_hz
        found["levels"] = status.levels(converter)
        plugged = getattr(converter, "plugged", None)
        found["plugged"] = plugged and bool(plugged())
        found["own_microvolts"] = converter.read_uv(0) is not None
    found["sealing"] = _seals()
    found["storage"] = _stores(storage)
    found["faults"] = faults
    print(json.dumps(found))


def _seals():
    sealed = Ccm(8).seal(_CCM_KEY, _CCM_NONCE, bytes(range(8, 31)), bytes(range(8)))
    return bytes(sealed) == _CCM_SEALED


def _stores(storage):
    for data in (b"\xa5" * 32, b""):
        storage.replace(_SELFTEST, data)
        if storage.read(_SELFTEST) != data:
            return False
    return True
