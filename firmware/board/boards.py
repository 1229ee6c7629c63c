"""Finds out which board this is, and builds it as the configuration says. No board loads another one's file.

Without a usable configuration the clamp alone is read, at its standard pin: it is there on both builds of the circuit,
while an input that nothing is wired to would be taken for the mains' voltage. The other pin is read only where a
calibration has told that there is a voltage: then direction and real power are known.
"""

import sys

from firmware.meter import calibration

DIRECTORY = "meter"
# platform: module and class of its storage
_STORAGES = {"esp32": ("nvs", "NvsStorage"), "rp2": ("files", "Storage"), "linux": ("files", "Storage")}
_FIRST_PICO_PIN = 26
USUAL_PINS = {"esp32": [34, 35], "rp2": [26, 27]}  # hardware/wiring.md; a Pico's are the first of its ADC


def storage():
    """Return this board's storage, without starting anything else. Raises ValueError on a platform without a file."""
    if sys.platform not in _STORAGES:
        raise ValueError("no board file is there for " + sys.platform)
    module, name = _STORAGES[sys.platform]
    return getattr(_load(module), name)(DIRECTORY)


def here(values, password):
    """Return this board's Board with its converter running; ``values`` are those of configuration.Settings.

    ``pins`` None: the usual ones. A converter has ``plugged()`` where ``clamp_switch`` is a pin.

    Raises ValueError for what the board cannot do.
    """
    if sys.platform not in _MAKERS:
        raise ValueError("no board file is there for " + sys.platform)
    if values["pins"] is None:
        values = dict(values, pins=_usual(storage()))
    return _MAKERS[sys.platform](_load(sys.platform if sys.platform != "linux" else "unix"), values, password)


def _usual(held):
    pins = USUAL_PINS.get(sys.platform, [])
    volts = calibration.load(held).values["voltage_uv_per_v"]
    return pins if volts != calibration.KEYS["voltage_uv_per_v"][0] else pins[:1]


def signal_dbm():
    """Return the Wi-Fi signal's strength in dBm, or None where there is none."""
    if sys.platform != "esp32":
        return None
    import network  # noqa: PLC0415 - no other board has it

    station = network.WLAN(network.STA_IF)
    return station.status("rssi") if station.isconnected() else None


def _load(module):
    return __import__("firmware.board." + module, None, None, ("here",))


def _plugged(module, values):
    """Return the switch's pin, called as ``plugged()``, or None: the plug opens the contact, the pull-up lifts it."""
    number, pin = values["clamp_switch"], module.machine.Pin
    return pin(number, pin.IN, pin.PULL_UP) if number >= 0 else None


def _esp32(module, values, password):
    plugged = _plugged(module, values)
    converter = module.Converter(tuple(values["pins"]), values["rate_hz"]) if values["pins"] else None
    if converter:
        converter.plugged = plugged
    wifi = (values["wifi_name"], password) if values["wifi_name"] else None
    return module.Board(DIRECTORY, converter, wifi, tuple(values["uart_pins"]), values["watchdog_ms"])


def _rp2(module, values, password):
    pins = values["pins"]
    if pins != [_FIRST_PICO_PIN, _FIRST_PICO_PIN + 1][: len(pins)]:
        raise ValueError("pins on a Pico are 26, the clamp's, or 26 and 27")
    if values["link"] == "tcp":
        raise ValueError("a Pico's link is serial: this board file has no Wi-Fi")
    plugged = _plugged(module, values)
    converter = module.Converter(len(pins), values["rate_hz"]) if pins else None
    if converter:
        converter.plugged = plugged
    return module.Board(DIRECTORY, converter, min(values["watchdog_ms"], 8388))


def _unix(module, values, password):
    if values["pins"]:
        raise ValueError("the unix port has no pins")
    return module.Board(DIRECTORY)


_MAKERS = {"esp32": _esp32, "rp2": _rp2, "linux": _unix}
