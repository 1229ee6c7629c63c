"""The fleet's health for whoever operates it: times and counts, and never an energy."""

from apiflask import APIBlueprint

from ..accounts.users import OPERATOR
from ..config import MdmsConfig
from ..fleet.facts import Street
from ..fleet.questions import COUNTED_S, CountedWindows, look, present
from ..fleet.rules import findings
from ..rosters import RosterBook
from ..store import Store
from .access import asker, only_roles
from .models import FleetOut


def fleet_api(config: MdmsConfig, store: Store, book: RosterBook) -> APIBlueprint:
    """Return the blueprint for operators."""
    routes = APIBlueprint("api_operator", __name__, url_prefix="/api/v1", tag="Operator")
    routes.before_request(only_roles(store, OPERATOR))
    counted = CountedWindows(COUNTED_S)

    @routes.get("/fleet")
    @routes.output(FleetOut)
    def fleet() -> dict[str, object]:
        """Say how every neighbourhood reports, what waits for the key holder, and what is wrong."""
        found = look(config, store, book, config.alarms, present(config, store), counted)
        wrong = [each for each in findings(found, config.alarms) if not each.street or asker().sees(each.street)]
        return {
            "now": found.now,
            "findings": [{"name": it.name, "neighbourhood": it.street or None, "said": it.said} for it in wrong],
            "neighbourhoods": [_street(each) for each in found.streets if asker().sees(each.name)],
            "loads_waiting": found.waiting,
            "oldest_waits_since": found.waits_since,
            "pruned": found.prune.at if found.prune else None,
            "detail_days": found.detail_days,
        }

    return routes


def _street(street: Street) -> dict[str, object]:
    timing = street.timing()
    return {
        "name": street.name,
        "meters": street.members,
        "roster_version": street.roster,
        "reported_roster_version": street.reported_roster,
        "concentrator": street.concentrator,
        "newest_load_end": street.newest.end if street.newest else None,
        "newest_load_arrived": street.heard_at,
        "loads_of_a_day": len(street.loads),
        "least_late_s": timing.least_s if timing else None,
        "median_late_s": timing.median_s if timing else None,
        "most_late_s": timing.most_s if timing else None,
        "windows_expected": sum(each.expected for each in street.meters),
        "windows_missing": sum(each.missing for each in street.meters),
        "windows_empty": sum(each.empty for each in street.meters),
        "accounts_behind": [
            {
                "pseudonym": each.pseudonym,
                "missing": each.missing,
                "empty": each.empty,
                "newest_window_end": each.newest,
            }
            for each in street.behind()
        ],
        "set_aside": len(street.aside),
        "decided": [{"status": status, "loads": loads} for status, loads in sorted(street.decided.items())],
    }
