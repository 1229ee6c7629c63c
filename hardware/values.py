"""A part's value as people write it: 1.5 kΩ, 100 nF."""

from hardware.circuit import Part

PREFIXES = ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def engineering(value: float, unit: str) -> str:
    """Return a positive value with the prefix that leaves one to three digits before the point."""
    for factor, prefix in PREFIXES:
        if value >= factor * 0.9999999:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"


def value_text(part: Part) -> str:
    """Return the value of a resistor or capacitor, and of anything else its number."""
    if part.ohm is not None:
        return engineering(part.ohm, "Ω")
    if part.farad is not None:
        return engineering(part.farad, "F")
    return part.number
