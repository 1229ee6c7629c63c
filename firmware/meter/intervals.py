"""Interval accounting: detail periods are summed into intervals that are aligned to the Unix epoch.

Pure functions over an Account, so that the account can be stored in one record with what it led to.
"""

from collections import namedtuple

from protocol import wire

# until: UTC seconds up to which everything has been accounted for, a multiple of the detail length;
# interval_s: length of the open interval; import_mwh, export_mwh: its energies so far; measured: how many of its
# detail periods were measured; quality: its bits so far; sealed_until: end of the last sealed period, 0 if none.
Account = namedtuple(
    "Account", ("until", "interval_s", "import_mwh", "export_mwh", "measured", "quality", "sealed_until")
)


def check_lengths(interval_s, detail_s):
    """Raise ValueError unless the detail length divides the interval length and both fit the wire."""
    if not 0 < detail_s <= interval_s <= 0xFFFF or interval_s % detail_s:
        raise ValueError("detail_s must divide interval_s, and interval_s be 1 to 65535")


def begin(utc_s, interval_s, sealed_until=0):
    """Return an Account that opens its first interval at the first boundary that is not before ``utc_s``."""
    return Account(-(-utc_s // interval_s) * interval_s, interval_s, 0, 0, 0, 0, sealed_until)


def add(account, detail_s, energies, quality):
    """Account for one detail period. Returns (the account behind it, the closed interval or None).

    ``energies`` is (import_mwh, export_mwh), or None where nothing was measured: then the power failed, unless
    ``quality`` says that the meter worked and had no energy to give (ESTIMATED). The closed interval is an Account
    whose ``until`` is the interval's end; an interval in which nothing at all was measured closes as None.
    """
    until = account.until + detail_s
    measured = energies is not None
    import_mwh, export_mwh = energies if measured else (0, 0)
    whole = Account(
        until,
        account.interval_s,
        account.import_mwh + import_mwh,
        account.export_mwh + export_mwh,
        account.measured + measured,
        account.quality | (quality if measured else quality & wire.ESTIMATED or wire.POWER_FAILED),
        until if measured else account.sealed_until,
    )
    if until % account.interval_s:
        return whole, None
    return begin(until, account.interval_s, whole.sealed_until), whole if whole.measured else None
