"""The auditor's page: every release and refusal, newest first, and whether the log is one unbroken, signed chain."""

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import formats
from ..accounts.sessions import only
from ..accounts.users import AUDITOR
from ..keyholder.log import LogBroken
from ..keyholder.messages import RELEASED, AskedBill, AskedLoad, Entry
from ..reasons import words
from ..rosters import RosterBook
from .log_reader import LogReader

ENTRIES_A_PAGE = 50


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """A log entry as a page says it."""

    seq: int
    time: str
    what: str
    about: str
    released: bool
    why: str
    k: int
    unsafe: str
    commitment: str


def auditor_routes(log: LogReader | None, book: RosterBook) -> Blueprint:
    """Return the blueprint of the auditor's door; without a log it says how to configure one."""
    routes = Blueprint("auditor", __name__, url_prefix="/auditor")
    routes.before_request(only(AUDITOR, "accounts.login"))

    @routes.get("/")
    def release_log() -> ResponseReturnValue:
        if log is None:
            return render_template("auditor/log.html", state=None, problem=None, entries=[], newer=None, older=None)
        try:
            state = log.look()
            newest = _number(request.args.get("from"), state.head.seq)
            entries = log.entries(newest, ENTRIES_A_PAGE)
        except OSError as error:
            problem = f"The log file cannot be read: {error.strerror}."
            return render_template("auditor/log.html", state=None, problem=problem, entries=[], newer=None, older=None)
        except LogBroken as broken:
            log.start_again()
            problem = f"{broken}. The file was changed after it had been verified."
            return render_template("auditor/log.html", state=None, problem=problem, entries=[], newer=None, older=None)
        return render_template(
            "auditor/log.html",
            state=state,
            problem=None,
            entries=[_shown(entry, book) for entry in entries],
            newer=min(newest + ENTRIES_A_PAGE, state.head.seq) if newest < state.head.seq else None,
            older=newest - ENTRIES_A_PAGE if newest > ENTRIES_A_PAGE else None,
        )

    @routes.post("/again")
    def again() -> ResponseReturnValue:
        if log is not None:
            log.start_again()
        return redirect(url_for("auditor.release_log"), 303)

    return routes


def _number(text: str | None, otherwise: int) -> int:
    if text is None or not (text.isascii() and text.isdigit()):
        return otherwise
    return min(int(text[:18]), otherwise)


def _shown(entry: Entry, book: RosterBook) -> ShownEntry:
    what, about = "Something unverified", "No rostered concentrator signed it."
    match entry.asked:
        case AskedLoad() as load:
            what = f"Load of {load.neighbourhood}"
            about = moment_of(load.interval_start, load.neighbourhood, book)
            if load.expected:
                about += f", {load.contributors} of {load.expected} meters"
        case AskedBill() as bill:
            tenancy = book.tenancy(bill.pseudonym)
            what = f"Bill of {bill.pseudonym}"
            about = f"period from {moment_of(bill.period_start, tenancy.neighbourhood if tenancy else '', book)}"
            about += f", {bill.windows} windows"
    return ShownEntry(
        entry.seq,
        formats.moment(entry.time),
        what,
        about,
        entry.decision == RELEASED,
        words(entry.decision),
        entry.k,
        ", ".join(entry.unsafe),
        entry.commitment,
    )


def moment_of(at: int, neighbourhood: str, book: RosterBook) -> str:
    """Return a time on the wall clock of a neighbourhood, in UTC for one that no roster names."""
    return formats.moment(at, book.zone(neighbourhood)) if book.versions(neighbourhood) else formats.moment(at)
