"""What a bill says, in words and numbers ready to be shown. Pure: the page and the paper only set it."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from fractions import Fraction

from protocol.tariffs import Tariff

from ..billing import BillSum
from ..billing.money import MICRO, UNIT, Cost, Line, decimal, price
from ..formats import day, kwh
from ..keyholder.messages import RELEASED
from ..pricing import percent
from ..records.bills import Bill
from .texts import Texts

VERIFY = "python -m scripts.verify_release FOLDER --operator-key KEY --log-key KEY"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; what does not apply is empty."""

    item: str
    windows: str = ""
    energy: str = ""
    price: str = ""
    amount: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What one sum is proved by: the release batch's id, empty where there is none."""

    text: str
    batch: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One bill in one language. ``total`` is None where nothing prices it; ``checks`` are empty unless released.

    ``dated`` is the end of its period: the same bill is always the same paper.
    """

    language: str
    file_name: str
    dated: datetime
    title: str
    facts: tuple[tuple[str, str], ...]
    headings: Row
    rows: tuple[Row, ...]
    total: tuple[str, str] | None
    remarks: tuple[str, ...]
    how_to_check: str
    checks: tuple[Check, ...]
    check: str
    keys: str
    command: str = VERIFY


def statement(
    bill: Bill, neighbourhood: str, zone: tzinfo, tariff: Tariff | None, cost: Cost | None, days: int, texts: Texts
) -> Statement:
    """Return what a bill of a neighbourhood says; ``days`` are the local days that its standing charge is for."""
    currency = cost.currency if cost is not None else ""
    headings = Row(
        texts.say("item"),
        texts.say("windows"),
        texts.say("energy"),
        texts.say("price", currency=currency) if cost else "",
        texts.say("amount", currency=currency) if cost else "",
    )
    released = bill.status == RELEASED
    sums = bill.sums if released else ()
    lines: tuple[Line | None, ...] = cost.lines if cost is not None else (None,) * len(sums)
    rows = [row for one, line in zip(sums, lines, strict=True) for row in _energy(one, line, texts)]
    if cost is not None and tariff is not None:
        rows += _charges(cost, tariff, days, texts)
    return Statement(
        texts.language,
        file_name(bill, zone),
        datetime.fromtimestamp(bill.period_end, UTC),
        texts.say("title"),
        _facts(bill, neighbourhood, zone, tariff, texts),
        headings,
        tuple(rows),
        (texts.say("total"), texts.number(cost.amount())) if cost is not None else None,
        tuple(_remarks(bill, cost, texts)),
        texts.say("how_to_check"),
        tuple(_check(one, texts) for one in sums),
        texts.say("check", day=day(bill.period_start, zone)),
        texts.say("keys"),
    )


def file_name(bill: Bill, zone: tzinfo) -> str:
    """Return what a bill's PDF is called."""
    return f"bill-{bill.pseudonym}-{day(bill.period_start, zone)}.pdf"


def _facts(
    bill: Bill, neighbourhood: str, zone: tzinfo, tariff: Tariff | None, texts: Texts
) -> tuple[tuple[str, str], ...]:
    first, last = day(bill.period_start, zone), day(bill.period_end - 1, zone)
    facts = [
        (texts.say("customer"), bill.pseudonym),
        (texts.say("neighbourhood"), neighbourhood),
        (texts.say("period"), first if first == last else texts.say("until", first=first, last=last)),
    ]
    if tariff is not None:
        facts.append((texts.say("tariff"), texts.say("tariff_version", name=tariff.name, version=tariff.version)))
    if bill.status != RELEASED:
        facts.append((texts.say("status"), texts.reason(bill.status)))
    return tuple(facts)


def _bands(one: BillSum, texts: Texts) -> str:
    return "+".join(name for name, _ in one.bands) or texts.say("whole")


def _energy(one: BillSum, line: Line | None, texts: Texts) -> list[Row]:
    bands = _bands(one, texts)
    rows = [
        Row(
            texts.say("imported", bands=bands),
            str(one.windows),
            texts.number(kwh(one.import_mwh)),
            *((_price(line.import_price, texts), _exact(line.cost, texts)) if line else ()),
        )
    ]
    if one.export_mwh:
        rows.append(
            Row(
                texts.say("exported", bands=bands),
                str(one.windows),
                texts.number(kwh(one.export_mwh)),
                *((_price(line.export_price, texts), _exact(-line.credit, texts)) if line else ()),
            )
        )
    return rows


def _charges(cost: Cost, tariff: Tariff, days: int, texts: Texts) -> list[Row]:
    rows = []
    if cost.standing:
        each = texts.number(price(tariff.standing_micro, cost.currency))
        name = "standing_day" if tariff.standing_per == "day" else "standing_period"
        rows.append(Row(texts.say(name, days=days, price=each), amount=_exact(cost.standing, texts)))
    if cost.tax_ppm:
        rows.append(Row(texts.say("tax", percent=texts.number(percent(cost.tax_ppm))), amount=_exact(cost.tax, texts)))
    return rows


def _price(micro: Fraction, texts: Texts) -> str:
    return texts.number(decimal(round(micro), MICRO))


def _exact(amount: Fraction, texts: Texts) -> str:
    return texts.number(decimal(round(amount * UNIT), MICRO))


def _remarks(bill: Bill, cost: Cost | None, texts: Texts) -> list[str]:
    remarks = []
    if bill.status == RELEASED:
        sums = {"import_kwh": texts.number(kwh(bill.import_mwh)), "export_kwh": texts.number(kwh(bill.export_mwh))}
        remarks += [
            texts.say("total_energy", **sums) + ".",
            texts.say("estimates", estimated=bill.estimated, windows=bill.windows)
            if bill.estimated
            else texts.say("no_estimates"),
            texts.say("adjustments", adjusted=bill.adjusted) if bill.adjusted else texts.say("no_adjustments"),
        ]
    if cost is None:
        return [*remarks, texts.say("no_amount")]
    remarks.append(texts.say("rounding"))
    if any(len(line.bands) > 1 for line in cost.lines):
        remarks.append(texts.say("pro_rata"))
    if cost.total < 0:
        remarks.append(texts.say("owed"))
    return remarks


def _check(one: BillSum, texts: Texts) -> Check:
    name = "release_batch" if one.batch else "no_batch"
    return Check(texts.say(name, item=_bands(one, texts)), one.batch or "")
