"""The releases of a replay as a utility publishes them, a folder for each day, checked as a stranger checks them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from mdms.config import load_mdms_config
from mdms.publication import CannotPublish, publish
from mdms.rosters import load_rosters
from mdms.store import Store
from protocol.releases import KEY_PROOFS_FOLDER

from ..street import Street
from ..supervisor import ProcessFailed
from ..verify_release import Options, Unusable, Wrong, check
from .conduct import bills_due
from .plan import Plan


@dataclass(frozen=True)
class Checked:
    """How many days, loads and bills were published and found right."""

    days: int
    loads: int
    bills: int


def publish_and_check(out: Path, street: Street, plan: Plan, store: Store) -> Checked:
    """Publish each day of the file of which something was released; raises ProcessFailed for a proof that fails."""
    config = load_mdms_config(street.folder.mdms / "mdms.toml")
    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    proofs = street.folder.facts.parent / KEY_PROOFS_FOLDER
    unsafe = plan.unsafe_small_key
    checked: list[tuple[int, int]] = []
    for day in days(plan):
        folder = out / day.isoformat()
        try:
            publish(config, store, book, folder, day=day, bills_of=day, key_proofs=proofs)
        except CannotPublish:
            continue  # below k, or no period begins on it
        options = Options(folder, street.facts.operator_key, street.facts.log_key, unsafe_small_key=unsafe)
        try:
            findings = check(options, lambda _: None)
        except (Wrong, Unusable) as error:
            raise ProcessFailed(f"what was published for {day} does not hold: {error}") from None
        checked.append((findings.loads, findings.bills))
    return Checked(len(checked), sum(loads for loads, _ in checked), sum(bills for _, bills in checked))


def days(plan: Plan) -> Iterator[date]:
    """Yield the days of the file and of its billing periods' beginnings, on the plan's wall clock."""
    starts = {period.start for _, period in bills_due(plan)}
    first = datetime.fromtimestamp(plan.readings.first(), plan.zone).date()
    last = datetime.fromtimestamp(plan.readings.last(), plan.zone).date()
    named = {datetime.fromtimestamp(start, plan.zone).date() for start in starts}
    named |= {first + timedelta(days=number) for number in range((last - first).days + 1)}
    yield from sorted(named)
