"""A neighbourhood as this concentrator serves it: its roster, its key, its sums."""

from dataclasses import dataclass
from datetime import tzinfo

from protocol import windows
from protocol.rosters import Roster

from .aggregate import DataAggregator
from .encryption import DEFAULTS, PaillierEncryption, Settings, key_of

YEARS_CHECKED_S = 2 * 366 * 86400


@dataclass(frozen=True)
class Neighbourhood:
    """Everything that is fixed about a neighbourhood while the daemon runs."""

    roster: Roster
    zone: tzinfo
    encryption: PaillierEncryption
    aggregator: DataAggregator


def build(roster: Roster, *, unsafe_small_key: bool, settings: Settings = DEFAULTS) -> Neighbourhood:
    """Return the parts of a neighbourhood; raises PaillierError, DocumentError, windows.Misaligned or SettingsError."""
    zone = roster.tz()
    checked = windows.Span(roster.valid_from, roster.valid_from + YEARS_CHECKED_S)
    windows.check_alignment(checked, roster.interval_s, zone)
    public_key = key_of(roster, unsafe_small_key=unsafe_small_key)
    return Neighbourhood(roster, zone, PaillierEncryption(public_key, settings), DataAggregator(public_key))
