"""The cumulative energy registers (OBIS 1-0:1.8.0 import, 1-0:2.8.0 export): they only grow."""

from collections import namedtuple

LIMIT = 1 << 64

# Both in mWh. Immutable: the next value counts once it has been stored, not before.
Registers = namedtuple("Registers", ("import_mwh", "export_mwh"))

ZERO = Registers(0, 0)


def after(registers, import_mwh, export_mwh):
    """Return the registers with two energies added; raises ValueError where one would go back or overflow."""
    if import_mwh < 0 or export_mwh < 0:
        raise ValueError("a register never goes back")
    grown = Registers(registers.import_mwh + import_mwh, registers.export_mwh + export_mwh)
    if max(grown) >= LIMIT:
        raise ValueError("a register is full")
    return grown


def went_back(earlier, later):
    """Say whether either register of ``later`` lies below ``earlier``."""
    return later.import_mwh < earlier.import_mwh or later.export_mwh < earlier.export_mwh
