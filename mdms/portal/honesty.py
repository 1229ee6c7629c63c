"""The page that says what the utility can and cannot see, and what the scripts of these pages hash to: for everyone."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from ..accounts.origins import Origins
from .bundle import Bundle

WORDS = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class Party:
    """Who sees what. ``party`` is the row's name in the threat model's table of parties."""

    party: str
    who: str
    sees: str
    sees_not: str


@dataclass(frozen=True, slots=True)
class Limit:
    """What is not solved. ``title`` begins the threat model's paragraph about it."""

    title: str
    says: str


def read_words() -> tuple[list[Party], list[Limit]]:
    """Return what the page says, from honesty.toml."""
    table = tomllib.loads(WORDS.read_text("utf-8"))
    return [Party(**row) for row in table["parties"]], [Limit(**row) for row in table["limits"]]


def honesty_routes(routes: Blueprint, bundle: Bundle, origins: Origins) -> None:
    """Add the page and the list of hashes to the customer's door."""
    parties, limits = read_words()

    @routes.get("/honesty")
    def honesty() -> ResponseReturnValue:
        origin = origins.of(request.host)
        return render_template("portal/honesty.html", parties=parties, limits=limits, bundle=bundle, origin=origin)

    @routes.get("/scripts.sha256")
    def script_hashes() -> Response:
        return Response(bundle.listing(), mimetype="text/plain")
