"""What a meter says about itself to whoever holds its console: nothing secret, and nothing that was measured.

The registers are asked for by name: whoever reads a meter's display sees them too, and a diagnosis that is sent to
somebody else must not carry them.
"""

import gc
import sys


def status(version, meter, settings, monotonic_ms, signal_dbm=None):
    """Return what is known of a running meter, as a dict for JSON. Times in seconds."""
    return {
        "version": version,
        "system": system(),
        "title": _hex(meter.keys.enrolment.system_title) if meter.keys else None,
        "uptime_s": monotonic_ms // 1000,
        "clock": clock(meter.clock, monotonic_ms),
        "link": _link(meter.link, settings.values, monotonic_ms, signal_dbm),
        "store": store(meter.store),
        "sensor": sensor(meter.sensor),
        "trouble": settings.trouble or getattr(meter.link, "trouble", None),
    }


def system():
    """Return the interpreter and the board."""
    gc.collect()
    implementation = sys.implementation
    return {
        "micropython": ".".join(str(part) for part in implementation.version[:3]),
        "machine": getattr(implementation, "_machine", sys.platform),
        "free_bytes": gc.mem_free() if hasattr(gc, "mem_free") else None,
    }


def clock(known, monotonic_ms):
    """Return the time and whether it was refreshed lately enough."""
    utc_ms = known.utc_ms(monotonic_ms)
    return {"utc_s": None if utc_ms is None else utc_ms // 1000, "trusted": known.trusted(monotonic_ms)}


def store(held):
    """Return how full the store is, and what was lost since it was new."""
    return {
        "waiting": len(held),
        "room": held.room(),
        "overflowed": held.overflowed,
        "aged": held.aged,
        "begun": held.account is not None,
    }


def sensor(measuring):
    """Return what the sensor finds wrong with itself; nothing of what it measures."""
    return {
        "measures": hasattr(measuring, "pump"),
        "fault": getattr(measuring, "fault", None),
        "plugged": getattr(measuring, "plugged", None),
    }


def levels(converter, turns=256):
    """Return [least, mean, greatest] raw count of each channel over some conversions, for whoever wires a clamp."""
    found = []
    for channel in range(converter.channels):
        counts = [converter.read(channel) for _ in range(turns)]
        found.append([min(counts), sum(counts) // turns, max(counts)])
    return found


def _link(link, values, monotonic_ms, signal_dbm):
    acknowledged_ms = link.acknowledged_ms
    return {
        "kind": values["link"],
        "acknowledged_s_ago": None if acknowledged_ms is None else (monotonic_ms - acknowledged_ms) // 1000,
        "counts": dict(link.counts),
        "signal_dbm": signal_dbm,
    }


def _hex(data):
    return "".join("%02x" % byte for byte in data)
