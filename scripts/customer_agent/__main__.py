"""The customer's agent as a command: `run` for good, `check` beforehand, `export` to files of your own."""

import logging
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import click
import structlog
from Crypto.PublicKey.ECC import EccKey

from .agent import Agent, Follower
from .broker import Address, Broker, trust
from .configuration import MQTT_PASSWORD, Configuration, ConfigurationError, load, read_secret
from .espi import write_feed
from .exporting import fetch_all, write_csv, write_new
from .home_assistant import Home
from .keys import read_customer_key
from .newest import newest
from .opening import Opener
from .portal import HttpTransport, Portal, PortalError, Refused

CONFIG = click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The agent's TOML file; docs/how-to/see-your-meter-in-home-assistant.md names every key.",
)


@click.group()
def main() -> None:
    """The customer's own agent: opens your meter's rows on your machine, for your Home Assistant.

    Nothing that it opens goes to the utility, and nothing happens unless you start it.
    """
    # A crash must not write keys and readings to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@main.command()
@CONFIG
def run(path: Path) -> None:
    """Follow the meter and publish each newest reading to the home's broker, until SIGTERM or SIGINT."""
    stop, wake = threading.Event(), threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()
        wake.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        configuration = load(path)
        key = read_customer_key(configuration)
        address, home = address_of(configuration), home_of(configuration)
        portal = portal_of(configuration, key)
        broker = Broker(address, home, wake)
        log = structlog.get_logger()
        follower = Follower(portal, lambda envelope: Opener(key, envelope), configuration.arrival_file, log)
        agent = Agent(follower, broker, home, configuration.poll_s, log)
        try:
            while not stop.is_set():
                wait = agent.step(time.monotonic())
                wake.wait(wait)
                wake.clear()
        finally:
            broker.close()
    except (ConfigurationError, Refused) as error:
        refuse(str(error))


@main.command()
@CONFIG
def check(path: Path) -> None:
    """Say what `run` would do: sign in, open rows, reach the broker. Publishes nothing, keeps nothing."""
    try:
        configuration = load(path)
        key = read_customer_key(configuration)
        click.echo(f"sign in at {configuration.server} as {configuration.account}")
        portal = portal_of(configuration, key)
        envelope = portal.sign_in()
        by = "signed by the operator" if configuration.operator_key else "its signature is not checked: no operator_key"
        click.echo(f"the key opens this account; envelope: {by}")
        for line in _seen(portal, Opener(key, envelope)):
            click.echo(line)
        if configuration.mqtt_url:
            address, home = address_of(configuration), home_of(configuration)
            for line in _published(address, home):
                click.echo(line)
            _reach(address, home)
            click.echo("the broker takes the connection")
        else:
            click.echo("no mqtt_url: nothing would be published")
    except (ConfigurationError, PortalError) as error:
        refuse(str(error))


@main.command("export")
@CONFIG
@click.option("--csv", "table", type=click.Path(path_type=Path), help="New file for a table of every reading.")
@click.option("--green-button", "feed", type=click.Path(path_type=Path), help="New file for ESPI XML.")
def export(path: Path, table: Path | None, feed: Path | None) -> None:
    """Fetch and open every row, and write them to files of your own. They are in clear: keep them as you keep bills."""
    if table is None and feed is None:
        raise click.UsageError("say --csv FILE, --green-button FILE or both")
    try:
        configuration = load(path)
        key = read_customer_key(configuration)
        portal = portal_of(configuration, key)
        readings, failed = fetch_all(portal, Opener(key, portal.sign_in()))
        if not readings:
            raise ConfigurationError(f"no row opens ({failed} do not): nothing is written")
        account, name, now = configuration.account, configuration.name, int(time.time())
        if table is not None:
            write_new(table, lambda stream: write_csv(stream, readings))
        if feed is not None:
            write_new(feed, lambda stream: write_feed(stream, readings, account, name, now))
    except (ConfigurationError, PortalError) as error:
        refuse(str(error))
    click.echo(f"{len(readings)} readings written, {failed} rows do not open")


def _seen(portal: Portal, opener: Opener) -> list[str]:
    behind, opened, failed, last = 0, 0, 0, None
    while True:
        rows = portal.rows(behind)
        readings, wrong = opener.open(rows.rows)
        opened, failed, last = opened + len(readings), failed + wrong, newest(readings, last)
        behind = rows.next
        if not rows.more:
            break
    lines = [f"{opened} rows open, {failed} do not"]
    if last is not None:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last.detail.end))
        lines.append(f"newest: meter {last.title.hex()}, until {when}")
    return lines


def _published(address: Address, home: Home) -> list[str]:
    how = "TLS" if address.tls else "in clear"
    who = f"as {address.username}" if address.username else "as nobody"
    return [
        f"publish to {address.host}:{address.port}, {how}, {who}",
        f"discovery: {home.discovery_prefix}/sensor/hushmeter_TITLE_.../config, retained",
        f"states: {home.topic}/TITLE/state; availability: {home.availability}; too old after {home.stale_s} s",
    ]


def _reach(address: Address, home: Home) -> None:
    broker = Broker(address, home, threading.Event(), silent=True)
    try:
        wrong = broker.connect(time.monotonic())
    finally:
        broker.close()
    if wrong:
        raise ConfigurationError(f"the broker is not usable: {wrong}")


def portal_of(configuration: Configuration, key: EccKey) -> Portal:
    """Return the account's door."""
    ca = configuration.server_ca
    if ca is not None and not ca.is_file():
        raise ConfigurationError(f"'server_ca': there is no file {ca}")
    return Portal(
        HttpTransport(configuration.server, str(ca) if ca else None),
        configuration.server,
        configuration.account,
        key,
        configuration.deployment,
        configuration.operator_key,
    )


def address_of(configuration: Configuration) -> Address:
    """Return where the broker is; raises ConfigurationError."""
    host, port, by_tls = configuration.broker()
    try:
        tls = trust(configuration.mqtt_ca) if by_tls else None
    except OSError:  # of which ssl.SSLError is one
        raise ConfigurationError(f"'mqtt_ca': {configuration.mqtt_ca} holds no certificates") from None
    password = read_secret(configuration.mqtt_password_file, MQTT_PASSWORD)
    return Address(host, port, tls, configuration.mqtt_username or None, password)


def home_of(configuration: Configuration) -> Home:
    """Return how this home wants it."""
    return Home(
        configuration.topic,
        configuration.discovery_prefix,
        configuration.name,
        configuration.language,
        configuration.stale_s,
    )


def refuse(reason: str) -> NoReturn:
    """Say why not, in one line, and end with 2."""
    click.echo(f"customer_agent: {reason}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
