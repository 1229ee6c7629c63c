"""Which neighbourhoods there are for a page."""

from flask import abort

from ..rosters import RosterBook


def known(book: RosterBook, name: str) -> str:
    """Return a neighbourhood's name; ends the request with 404 for one that no roster names."""
    if not book.versions(name):
        abort(404)
    return name
