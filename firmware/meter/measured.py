"""What a sensor gives for a period: see instrument.py."""

from collections import namedtuple

from protocol import wire

# import_mwh, export_mwh: None where nothing was measured; quality: bits of these energies alone; then what a DETAIL
# says (wire.NOT_MEASURED, wire.FACTOR_NOT_MEASURED); before_import_mwh, before_export_mwh: energies of a time that
# belongs to no period: they enter the registers and nothing else.
Measured = namedtuple(
    "Measured",
    (
        "import_mwh",
        "export_mwh",
        "quality",
        "decivolts",
        "centiamperes",
        "power_factor",
        "before_import_mwh",
        "before_export_mwh",
    ),
)


def energies(import_mwh, export_mwh):
    """Return a Measured of energies of which nothing else is known."""
    return Measured(import_mwh, export_mwh, 0, wire.NOT_MEASURED, wire.NOT_MEASURED, wire.FACTOR_NOT_MEASURED, 0, 0)


def of(given):
    """Return the Measured of what a sensor gave: one, a pair of energies, or None for nothing."""
    if given is None:
        return energies(None, None)
    return energies(*given) if len(given) == 2 else given
