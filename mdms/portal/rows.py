"""A customer's sealed rows as they lie here: new ones behind a number, old ones before it, and word of new ones."""

import time
from collections.abc import Iterator
from threading import BoundedSemaphore, Event

from flask import Blueprint, Response, abort, request

from protocol.documents import to_base64url

from ..ingest.routes import answer_json
from ..problems import problem
from ..store import Store
from .questions import ROWS_AT_ONCE, first_arrival, last_arrival, rows_before, rows_behind

MAX_ARRIVAL = (1 << 63) - 1
HISTORY_AT_ONCE = 20_000  # rows, 1.8 MB
NEWEST_AT_ONCE = 2000  # a day of minutes and more: it is shown before the rest is asked for
STREAMS = 8  # at once in one process: each holds a thread, and whoever comes later asks again and again instead
STREAM_S = 60  # then the browser asks anew, and the session is looked at again
LOOK_S = 0.25
BEAT_S = 5.0  # how late a browser that has gone is noticed


def row_routes(own: Blueprint, store: Store, ending: Event) -> None:
    """Add the rows' addresses to the blueprint of one customer's objects."""
    free = BoundedSemaphore(STREAMS)

    @own.get("/rows.json")
    def rows(account: str) -> Response:
        after = _number("after", 0)
        found = rows_behind(store, account, after)
        return answer_json(
            {
                "rows": to_base64url(b"".join(row for _, row in found)),
                "next": found[-1][0] if found else after,
                "more": len(found) == ROWS_AT_ONCE,
            }
        )

    @own.get("/rows.bin")
    def history(account: str) -> Response:
        """Answer with the rows before a number, in order; without a number, with some of the newest.

        Asked again before their oldest, all come, newest first.
        """
        most = HISTORY_AT_ONCE if "before" in request.args else NEWEST_AT_ONCE
        found = rows_before(store, account, _number("before", MAX_ARRIVAL), most)
        answer = Response(b"".join(row for _, row in found), mimetype="application/octet-stream")
        oldest = first_arrival(store, account)
        answer.headers["Hushmeter-Oldest"] = str(found[0][0] if found else 0)
        answer.headers["Hushmeter-Newest"] = str(found[-1][0] if found else 0)
        answer.headers["Hushmeter-Left"] = str(found[0][0] - oldest if found and oldest is not None else 0)
        return answer

    @own.get("/rows.events")
    def events(account: str) -> Response:
        after = _number("after", 0)
        if not free.acquire(blocking=False):
            refused = problem(503)
            refused.headers["Retry-After"] = str(STREAM_S)
            return refused
        until = time.monotonic() + STREAM_S
        stream = Response(_news(store, account, after, until, ending), mimetype="text/event-stream")
        # nginx would otherwise keep it back, headers and all, until it ends.
        stream.headers["X-Accel-Buffering"] = "no"
        # Also where the browser left before the first word, when the generator never ran.
        stream.call_on_close(free.release)
        return stream


def _news(store: Store, account: str, after: int, until: float, ending: Event) -> Iterator[bytes]:
    """Yield server-sent events (HTML standard, section 9.2): `here`, then the newest row's number as it grows.

    Some proxies pass an answer's headers on and keep its body back: `here` tells the page that events do come.
    """
    yield b"retry: 250\nevent: here\ndata:\n\n"
    beat = time.monotonic()
    while (now := time.monotonic()) < until and not ending.is_set():
        newest = last_arrival(store, account)
        if newest is not None and newest > after:
            after = newest
            beat = now
            yield b"data: %d\n\n" % newest
        elif now - beat > BEAT_S:
            beat = now
            yield b":\n\n"
        ending.wait(LOOK_S)


def _number(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > MAX_ARRIVAL:
        abort(400)
    return int(text)
