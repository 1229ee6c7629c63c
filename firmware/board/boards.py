"""Finds out which board this is, and builds it as the configuration says. No board loads another one's file."""

import sys

DIRECTORY = "meter"
# platform: module and class of its storage
_STORAGES = {"esp32": ("nvs", "NvsStorage"), "rp2": ("files", "Storage"), "linux": ("files", "Storage")}
_FIRST_PICO_PIN = 26


def storage():
    """Return this board's storage, without starting anything else. Raises ValueError on a platform without a file."""
    if sys.platform not in _STORAGES:
        raise ValueError("no board file is there for " + sys.platform)
    module, name = _STORAGES[sys.platform]
    return getattr(_load(module), name)(DIRECTORY)


def here(values, password):
    """Return this board's Board with its converter running; ``values`` are those of configuration.Settings.

    Raises ValueError for what the board cannot do.
    """
    if sys.platform not in _MAKERS:
        raise ValueError("no board file is there for " + sys.platform)
    return _MAKERS[sys.platform](_load(sys.platform if sys.platform != "linux" else "unix"), values, password)


def signal_dbm():
    """Return the Wi-Fi signal's strength in dBm, or None where there is none."""
    if sys.platform != "esp32":
        return None
    import network  # noqa: PLC0415 - no other board has it

    station = network.WLAN(network.STA_IF)
    return station.status("rssi") if station.isconnected() else None


def _load(module):
    return __import__("firmware.board." + module, None, None, ("here",))


def _esp32(module, values, password):
    converter = module.Converter(tuple(values["pins"]), values["rate_hz"]) if values["pins"] else None
    wifi = (values["wifi_name"], password) if values["wifi_name"] else None
    return module.Board(DIRECTORY, converter, wifi, tuple(values["uart_pins"]), values["watchdog_ms"])


def _rp2(module, values, password):
    pins = values["pins"]
    if pins != [_FIRST_PICO_PIN, _FIRST_PICO_PIN + 1][: len(pins)]:
        raise ValueError("pins on a Pico are 26, the clamp's, or 26 and 27")
    if values["link"] == "tcp":
        raise ValueError("a Pico's link is serial: this board file has no Wi-Fi")
    converter = module.Converter(len(pins), values["rate_hz"]) if pins else None
    return module.Board(DIRECTORY, converter, min(values["watchdog_ms"], 8388))


def _unix(module, values, password):
    if values["pins"]:
        raise ValueError("the unix port has no pins")
    return module.Board(DIRECTORY)


_MAKERS = {"esp32": _esp32, "rp2": _rp2, "linux": _unix}
