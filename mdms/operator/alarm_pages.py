"""The operator's page about alarms: what is raised, what is over, and which messages nobody took."""

import time

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from .. import formats
from ..alarms.ledger import known_alarms, troubled_letters
from ..config import MdmsConfig
from ..fleet.questions import WATCH, chore
from ..fleet.rules import span
from ..store import Store

ASLEEP_TIMES = 10  # so many turns without a look, and nobody watches


def add_alarm_pages(routes: Blueprint, config: MdmsConfig, store: Store) -> None:
    """Add it to the operator's door."""

    @routes.get("/alarms")
    def alarms() -> ResponseReturnValue:
        now = int(time.time())
        watched = chore(store, WATCH)
        known = known_alarms(store)
        return render_template(
            "operator/alarms.html",
            raised=[(each, formats.moment(each.since), span(now - each.since)) for each in known if not each.cleared],
            over=[(each, formats.moment(each.since), formats.moment(each.cleared)) for each in known if each.cleared],
            letters=[
                (each, formats.moment(each.made), formats.moment(each.next_try) if each.next_try else "given up")
                for each in troubled_letters(store)
            ],
            channels=_channels(config),
            watched=span(max(0, now - watched.at)) if watched else None,
            asleep=watched is None or now - watched.at > ASLEEP_TIMES * config.alarms.every_seconds,
        )


def _channels(config: MdmsConfig) -> list[str]:
    mail, webhook = config.alarms.mail, config.alarms.webhook
    return [
        *([f"mail to {', '.join(mail.to)}"] if mail else []),
        *(["a webhook"] if webhook else []),
    ]
