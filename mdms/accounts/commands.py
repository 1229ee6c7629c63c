"""Commands about who may in: users of the pages, tokens of the API."""

from __future__ import annotations

from pathlib import Path

import click

from ..commands import config_option, open_store
from ..config import load_mdms_config
from ..errors import CannotStart
from ..logs import start_logging

# Each command imports its own part: what this is imported for may need none of it.
# ruff: noqa: PLC0415


@click.command("add-user")
@click.argument("name")
@click.option(
    "--role", required=True, type=click.Choice(["supplier", "operator", "auditor"]), help="Which door it opens."
)
@click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File whose first line is the password; otherwise it is asked for.",
)
@config_option
def add_user(path: Path, name: str, role: str, password_file: Path | None) -> None:
    """Make a user of the utility's pages, or give one another password or role. NAME is what it logs in with."""
    config = load_mdms_config(path)
    start_logging("add-user")
    from .users import add_user as add
    from .users import read_password

    password = read_password(password_file)
    with open_store(config) as store:
        add(store, name, role, password)
    click.echo(f"mdms: {role} {name} may log in", err=True)


@click.command("add-token")
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["supplier", "operator", "third-party", "auditor"]),
    help="What it reads.",
)
@click.option("--neighbourhood", "neighbourhoods", multiple=True, help="Only this one; may be repeated. Default: all.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it lasts.")
@config_option
def add_token(path: Path, name: str, role: str, neighbourhoods: tuple[str, ...], days: int) -> None:
    """Make a token of the API and print it, this once. NAME says whose it is, and revokes it later."""
    config = load_mdms_config(path)
    from ..rosters import load_rosters
    from . import tokens

    book = load_rosters(config.rosters, config.deployment, config.operator_key)
    for wanted in neighbourhoods:
        if not book.versions(wanted):
            raise CannotStart(f"no roster names a neighbourhood {wanted[:64]}")
    with open_store(config) as store:
        secret = tokens.add_token(store, name, role, days, neighbourhoods)
    click.echo(secret)
    click.echo(f"mdms: {role} {name} may read for {days} days; the token is kept nowhere else", err=True)


@click.command("revoke-token")
@click.argument("name")
@config_option
def revoke_token(path: Path, name: str) -> None:
    """Revoke the token of a name, from the next request on."""
    config = load_mdms_config(path)
    from . import tokens

    with open_store(config) as store:
        tokens.revoke_token(store, name)
    click.echo(f"mdms: the token {name} opens nothing any more", err=True)


@click.command("list-tokens")
@config_option
def list_tokens(path: Path) -> None:
    """List the API's tokens: name, role, neighbourhoods, when each ends. Never a secret."""
    config = load_mdms_config(path)
    from ..formats import moment
    from . import tokens

    with open_store(config) as store:
        for token in tokens.list_tokens(store):
            where = ",".join(sorted(token.neighbourhoods)) if token.neighbourhoods else "all"
            click.echo(f"{token.name}\t{token.role}\t{where}\t{moment(token.expires)}")


COMMANDS = (add_user, add_token, revoke_token, list_tokens)
