"""Energies as people write them: watt-hours with up to three decimals, held as whole milliwatt-hours."""

import re

_WH = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,3}))?\Z")


def parse_wh(text: str) -> int:
    """Return mWh of a decimal number of Wh, without floats; raises ValueError with the reason."""
    match = _WH.match(text)
    if match is None:
        if text.startswith("-"):
            raise ValueError(f"energy_wh '{text[:40]}' is negative")
        if re.match(r"[0-9]+\.[0-9]{4,}\Z", text):
            raise ValueError(f"energy_wh '{text[:40]}' has more than three decimals")
        raise ValueError(f"energy_wh '{text[:40]}' is not a number of Wh with up to three decimals")
    whole, decimals = match.groups()
    return int(whole) * 1000 + int((decimals or "").ljust(3, "0"))


def format_wh(mwh: int) -> str:
    """Return Wh with exactly three decimals."""
    sign = "-" if mwh < 0 else ""
    return f"{sign}{abs(mwh) // 1000}.{abs(mwh) % 1000:03d}"
