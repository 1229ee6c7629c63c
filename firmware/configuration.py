"""What makes a board this meter: one piece of JSON in the storage, written by flashing, never by compiling.

Rule 1: a configuration is whole or it does not count. It is stored twice, one copy after the other, so that a damaged
one costs nothing but a report; where both are unusable the defaults hold: the board's standard pins, and no line.
Rule 2: the Wi-Fi password is no part of it: it is a piece of its own, in NVS where the chip has that.
"""

import binascii
import json
from collections import namedtuple

NAME = "configuration"
PASSWORD_NAME = "wifi"
VERSION = 1

_TEXT = 64  # characters
# Each with its default and, for integers, (least, greatest). ``pins``: the converter's, current then voltage; none:
# nothing is measured. ``clamp_switch``: the pin of the jack's contact, low without a plug; -1: none is wired.
# ``uart``: the chip's UART, or the path of a line on the unix port. Times in the key's unit.
KEYS = {
    "link": ("none", None),
    "host": ("", None),
    "port": (8765, (1, 65535)),
    "wifi_name": ("", None),
    "uart": (1, (0, 2)),
    "uart_pins": ([17, 16], (0, 48)),
    "baud": (115200, (1200, 921600)),
    "pins": ([], (0, 48)),
    "clamp_switch": (-1, (-1, 48)),
    "rate_hz": (2000, (1000, 4000)),
    "interval_s": (900, (1, 65535)),
    "detail_s": (60, (1, 65535)),
    "watchdog_ms": (8000, (0, 60000)),
}
_LINKS = ("none", "tcp", "serial")

# values: the keys of KEYS as a dict; trouble: None, or what is wrong with what is stored. Where nothing of it counts,
# ``pins`` is None: not known.
Settings = namedtuple("Settings", ("values", "trouble"))


class Unusable(ValueError):
    """A configuration that does not count; the text names the key and what it may be."""


def defaults(trouble):
    """Return the Settings that hold where there are none: the pins are the board's standard ones (boards.here)."""
    values = {key: KEYS[key][0] for key in KEYS}
    values["pins"] = None
    return Settings(values, trouble + "; it counts at its board's usual pins, as an estimate, and has no line")


def load(storage):
    """Return the stored Settings; of two copies the first that is whole, else the defaults, and what is wrong."""
    trouble = None
    for name in (NAME, NAME + ".copy"):
        data = storage.read(name)
        try:
            if not data:
                raise Unusable("this meter was never configured")
            return Settings(_parse(data), trouble and trouble + "; its copy counts")
        except Unusable as error:
            trouble = trouble or str(error)
    return defaults(trouble)


def save(storage, document):
    """Check ``document`` (a dict with keys of KEYS), store it twice and return its Settings.

    What it does not name gets its default. Raises Unusable, and then keeps what was stored before.
    """
    values = check(document)
    text = json.dumps({"version": VERSION, "values": values})
    data = ("%08x " % binascii.crc32(text.encode()) + text).encode()
    storage.replace(NAME, data)
    storage.replace(NAME + ".copy", data)
    return Settings(values, None)


def check(document):
    """Return the values of a document with the defaults filled in; raises Unusable."""
    if not isinstance(document, dict):
        raise Unusable("the configuration is not an object of keys and values")
    for key in document:
        if key not in KEYS:
            raise Unusable("the configuration has the unknown key %s" % key)
    values = {key: _value(key, document.get(key, KEYS[key][0])) for key in KEYS}
    if values["link"] not in _LINKS:
        raise Unusable("link must be one of " + ", ".join(_LINKS))
    if values["link"] == "tcp" and not values["host"]:
        raise Unusable("link = tcp needs host, the concentrator's address")
    if len(values["pins"]) > 2:
        raise Unusable("pins are none, the clamp's, or the clamp's and the voltage's")
    if values["clamp_switch"] in values["pins"] + values["uart_pins"]:
        raise Unusable("clamp_switch is a pin of its own, none of pins and uart_pins")
    if len(values["uart_pins"]) != 2:
        raise Unusable("uart_pins are two: the one that transmits, the one that receives")
    if values["interval_s"] % values["detail_s"]:
        raise Unusable("detail_s must divide interval_s")
    return values


def password(storage):
    """Return the Wi-Fi password, perhaps empty."""
    return (storage.read(PASSWORD_NAME) or b"").decode()


def _value(key, value):
    default, bounds = KEYS[key]
    if key == "uart" and isinstance(value, str) and 0 < len(value) <= _TEXT:
        return value
    if isinstance(default, str):
        if not isinstance(value, str) or len(value) > _TEXT:
            raise Unusable("%s must be a text of at most %d characters" % (key, _TEXT))
    elif isinstance(default, list):
        if not isinstance(value, (list, tuple)):
            raise Unusable("%s must be a list of numbers" % key)
        for each in value:
            _whole(key, each, bounds)
        value = list(value)
    else:
        _whole(key, value, bounds)
    return value


def _whole(key, value, bounds):
    least, greatest = bounds
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
        raise Unusable("%s must be whole and %d to %d" % (key, least, greatest))


def _parse(data):
    damaged = Unusable("the configuration is damaged")
    try:
        crc, text = data.decode().split(" ", 1)
        if "%08x" % binascii.crc32(text.encode()) != crc:
            raise damaged
        document = json.loads(text)
        version, values = document["version"], document["values"]
    except (ValueError, KeyError, TypeError):  # UnicodeError is a ValueError
        raise damaged
    if version != VERSION:
        raise Unusable("the configuration is of an unknown version")
    return check(values)
