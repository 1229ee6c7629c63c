"""From when on something is wrong. Loads nothing: the configuration is read by every process."""

from typing import Annotated

import msgspec
from msgspec import Meta

Minutes = Annotated[int, Meta(ge=1, le=60 * 24 * 30)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration's table [alarms] may set; README.md explains each."""

    silent_minutes: Minutes = 60
    late_minutes: Minutes = 30
    ahead_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    windows_hours: Annotated[int, Meta(ge=24, le=24 * 13)] = 192
    waiting_minutes: Minutes = 60
    refused_percent: Annotated[int, Meta(ge=1, le=100)] = 20
    prune_days: Annotated[int, Meta(ge=1, le=365)] = 3
    disk_floor_mb: Annotated[int, Meta(ge=0)] = 1000
