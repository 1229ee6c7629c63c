"""What a person reads: sentences about boards and meters, and nothing secret."""

from __future__ import annotations

import time
from typing import Any

from .board import Held

NO_MICROPYTHON = """{device}: the port opens, and no MicroPython answers at it.
If the board is new, put MicroPython {least} or later on it, once:
  ESP32   download the .bin of ESP32_GENERIC from micropython.org/download/ESP32_GENERIC, then
            pip install esptool
            esptool --port {device} erase-flash
            esptool --port {device} --baud 460800 write-flash 0x1000 ESP32_GENERIC-DATE-VERSION.bin
          (if it says "Failed to connect", hold the board's BOOT button while it begins)
  Pico    hold BOOTSEL while you plug it in, and copy the .uf2 of RPI_PICO from micropython.org/download/RPI_PICO
          onto the drive that appears
erase-flash erases everything, keys and registers too: do it to a board that was never a meter, or is to be none.
If it ran a meter before: press its reset button, wait three seconds, and run the same command again."""


def lost(held: Held) -> str:
    """Return what replacing an enrolment would lose."""
    frames = "those of its frames that wait" if held.waiting is None else f"{held.waiting} frames that wait"
    whose = f"meter {held.title}" if held.title else "a meter whose keys are damaged"
    return (
        f"{whose}: its keys, its registers (they begin at zero; read them first: make doctor with --registers), and "
        f"{frames} for its concentrator"
    )


def held_lines(held: Held) -> list[str]:
    """Return what is on a board, for a person who is about to change it."""
    if held.broken:
        return ["there is an installation on it that was not finished: what it keeps is looked at when it is"]
    if held.version is None:
        return ["there is no Hushmeter on it yet"]
    lines = [f"firmware {held.version} is on it"]
    if held.title:
        frames = "a store that cannot be read" if held.waiting is None else f"{held.waiting} frames waiting"
        lines.append(f"it is meter {held.title}, {frames}")
    elif held.enrolled:
        lines.append("it is a meter whose stored keys are damaged")
    else:
        lines.append("it is enrolled nowhere")
    if held.trouble:
        lines.append(held.trouble)
    return lines


def selftest_lines(found: dict[str, Any], held: Held) -> list[tuple[str, str]]:
    """Return a self-test as rows of (what, how it is)."""
    system = found["system"]
    rows = [
        ("firmware", str(held.version)),
        ("MicroPython", f"{system['micropython']}, {system['machine']}"),
        ("memory", f"{system['free_bytes']} bytes free"),
        ("sealing", "right (RFC 3610, packet vector 1)" if found["sealing"] else "WRONG: the board must not run so"),
        (
            "storage",
            "what was written is read back" if found["storage"] else "WRONG: what was written is not read back",
        ),
        ("keys", f"of meter {held.title}" if held.title else held.keys),
        ("store", "cannot be read" if held.waiting is None else f"{held.waiting} frames waiting"),
        ("counters", "there" if held.counter else "none yet: made at the first start"),
        ("clock", "not known while stopped: the concentrator gives the time"),
        ("link", found["link"]),
    ]
    if found["levels"] is None:
        rows.append(("sensor", "no pins are configured: nothing will be measured"))
    for name, (least, mean, most) in zip(("clamp", "voltage"), found["levels"] or (), strict=False):
        rows.append((name, f"raw counts {least} to {most}, mean {mean}{_railed(least, most)}"))
    if found.get("plugged") is not None:
        rows.append(("jack", "a clamp is plugged in" if found["plugged"] else "no clamp is plugged in"))
    return rows + [("", fault) for fault in found["faults"]]


def status_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a running meter's answer as rows."""
    link, clock, store, sensor = found["link"], found["clock"], found["store"], found["sensor"]
    lines = [
        ("firmware", found["version"]),
        ("MicroPython", f"{found['system']['micropython']}, {found['system']['machine']}"),
        ("memory", f"{found['system']['free_bytes']} bytes free"),
        ("meter", found["title"] or "none that reports: it counts energy and sends nothing; enrol it anew"),
        ("running", f"{found['uptime_s']} s since its start"),
        ("clock", _clock(clock)),
        ("link", _link(link)),
        ("signal", _signal(link)),
        (
            "counters",
            ", ".join(f"{kind}: {number}" for kind, number in sorted(link["counts"].items())) or "nothing yet",
        ),
        ("store", f"{store['waiting']} frames waiting, room for {store['room']}"),
        ("lost", f"{store['overflowed']} to a full store, {store['aged']} to age, since the store was new"),
        ("sensor", _sensor(sensor)),
    ]
    if found["trouble"]:
        lines.append(("trouble", found["trouble"]))
    return lines


def _sensor(sensor: dict[str, Any]) -> str:
    if not sensor["measures"]:
        return "no pins are configured"
    unseen = "" if sensor.get("plugged") is not None else "; no contact at its jack: unplugged, it would read no load"
    return sensor["fault"] or f"no fault{unseen}"


def _railed(least: int, most: int) -> str:
    if least == most:
        return " (it does not move: is the clamp plugged in?)"
    return " (at the end of the range: check the bias)" if least == 0 or most >= 4095 else ""


def _clock(clock: dict[str, Any]) -> str:
    if clock["utc_s"] is None:
        return "not known: no answer from the concentrator yet; nothing is accounted until then"
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(clock["utc_s"]))
    return told if clock["trusted"] else f"{told}, not refreshed for a day: readings are marked so"


def _link(link: dict[str, Any]) -> str:
    if link["kind"] == "none":
        return "none is configured"
    ago = link["acknowledged_s_ago"]
    return f"{link['kind']}, " + (
        "nothing acknowledged since its start" if ago is None else f"last acknowledgement {ago} s ago"
    )


def _signal(link: dict[str, Any]) -> str:
    dbm = link["signal_dbm"]
    if dbm is None:
        return "no Wi-Fi, or not joined" if link["kind"] == "tcp" else "no Wi-Fi"
    return f"{dbm} dBm" + (", weak: a reading may need several attempts" if dbm < -75 else "")
