"""What the API is asked and what it answers. Energies are integers in mWh, times UTC seconds, days local dates."""

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_DAYS = 366
BILLS_A_PAGE = 200

LATEST = date(2105, 12, 31)
EARLIEST = date(1971, 1, 1)
Day = Annotated[date, Field(ge=EARLIEST, le=LATEST)]
Format = Literal["json", "csv"]
Mwh = Annotated[int, Field(description="energy in milliwatt-hours")]


class _Asked(BaseModel):
    """A query: nothing but what is named."""

    model_config = ConfigDict(extra="forbid")


class DaysAsked(_Asked):
    """A stretch of local days, both ends included; without them the newest day that has a report."""

    first: Day | None = Field(None, description="first day, YYYY-MM-DD on the neighbourhood's own clock")
    last: Day | None = Field(None, description=f"last day; {MOST_DAYS} days at most")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (self.first is None) != (self.last is None):
            raise ValueError("first and last are given together or not at all")
        if self.first is not None and self.last is not None:
            if self.last < self.first:
                raise ValueError("last is before first")
            if self.last - self.first >= timedelta(days=MOST_DAYS):
                raise ValueError(f"more than {MOST_DAYS} days at once")
        return self


class LoadsAsked(DaysAsked):
    """Which loads, and as what."""

    format: Format = "json"


class ForecastAsked(_Asked):
    """Which day; without it the one after the newest that has a released load."""

    day: Day | None = None


class BillsAsked(_Asked):
    """Which period, by its start as /periods names it; the next page begins behind ``after``."""

    start: int = Field(ge=0, lt=1 << 32)
    after: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,22}$")
    format: Format = "json"


class NeighbourhoodOut(BaseModel):
    """A neighbourhood that this asker may see."""

    name: str
    zone: str
    interval_s: int
    meters: int
    newest_load: int | None = Field(description="start of the newest interval that was reported")


class NeighbourhoodsOut(BaseModel):
    neighbourhoods: list[NeighbourhoodOut]


class LoadOut(BaseModel):
    """One interval. For a third party only released ones are listed."""

    start: int
    end: int
    contributors: int
    expected: int
    status: str = Field(description="released, waiting, or why the sum is withheld")
    import_mwh: Mwh | None
    export_mwh: Mwh | None


class LoadsOut(BaseModel):
    neighbourhood: str
    zone: str
    first: date | None
    last: date | None
    loads: list[LoadOut]


class ForecastSlotOut(BaseModel):
    """One interval of the day by the clock on the wall; low and high bound the interval of confidence."""

    time: str
    import_mwh: Mwh
    low_mwh: Mwh | None
    high_mwh: Mwh | None


class ForecastOut(BaseModel):
    neighbourhood: str
    zone: str
    day: date
    interval_s: int
    confidence: float
    learnt_days: int = Field(description="days of released loads that it was learnt from")
    intervals: list[ForecastSlotOut]


class MeterCompletenessOut(BaseModel):
    """One account's billing windows in the stretch: counts, and never which or how much."""

    pseudonym: str
    expected: int
    reported: int
    empty: int
    estimated: int


class CompletenessOut(BaseModel):
    neighbourhood: str
    first: date | None
    last: date | None
    intervals_reported: int
    intervals_released: int
    contributions: int = Field(description="meters' contributions to the reported intervals")
    contributions_expected: int
    meters: list[MeterCompletenessOut]


class PeriodOut(BaseModel):
    start: int
    end: int
    bills: int


class PeriodsOut(BaseModel):
    periods: list[PeriodOut]


class BillOut(BaseModel):
    """One account's bill: the energy of the whole period, never of a part."""

    pseudonym: str
    neighbourhood: str | None
    period_start: int
    period_end: int
    status: str
    import_mwh: Mwh | None
    export_mwh: Mwh | None
    windows: int
    estimated: int
    amount: str | None


class BillsOut(BaseModel):
    start: int
    bills: list[BillOut]
    after: str | None = Field(description="ask for what is behind it; null: that was all")


class FindingOut(BaseModel):
    """Something that is wrong, by a name that stays while it lasts; neighbourhood null: of the deployment."""

    name: str
    neighbourhood: str | None
    said: str


class BehindOut(BaseModel):
    """An account with billing windows that have not come, or came empty."""

    pseudonym: str
    missing: int
    empty: int
    newest_window_end: int | None


class DecidedOut(BaseModel):
    status: str
    loads: int


class StreetOut(BaseModel):
    """One neighbourhood and its concentrator. Lateness is of the last day's loads, behind their intervals' ends."""

    name: str
    meters: int
    roster_version: int
    reported_roster_version: int | None = Field(description="of the roster that the newest load counts by")
    concentrator: str = Field(description="fingerprint of its key")
    newest_load_end: int | None
    newest_load_arrived: int | None
    loads_of_a_day: int
    least_late_s: int | None = Field(description="below zero: its clock is ahead of this server's")
    median_late_s: int | None
    most_late_s: int | None
    windows_expected: int = Field(description="of two weeks, up to the deadline")
    windows_missing: int
    windows_empty: int
    accounts_behind: list[BehindOut]
    set_aside: int = Field(description="reports that contradict a stored one, not looked into yet")
    decided: list[DecidedOut]


class FleetOut(BaseModel):
    now: int
    findings: list[FindingOut]
    neighbourhoods: list[StreetOut]
    loads_waiting: int
    oldest_waits_since: int | None
    pruned: int | None
    detail_days: int
