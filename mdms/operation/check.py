"""What `serve` and `worker` would do with a configuration, said without starting anything and without changing a file.

Everything that is wrong is found in one go, as far as it can be: each thing in a line of its own.
"""

import os
import socket
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ..config import Address, MdmsConfig, is_loopback, load_mdms_config
from ..errors import CannotStart
from ..rosters import load_rosters

OPEN_MODE = stat.S_IRWXG | stat.S_IRWXO


@dataclass
class Findings:
    """What would be done, and what keeps the processes from it; lines for a person."""

    plan: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(path: Path) -> Findings:
    """Look at a configuration and at everything it names; raises nothing that a file can cause."""
    found = Findings()
    try:
        config = load_mdms_config(path)
    except CannotStart as error:
        found.problems.append(str(error))
        return found
    _rosters(config, found)
    _database(config, found)
    _pages(config, found)
    _listening(config, found)
    found.plan.append(f"asks the key holder at {config.keyholder_socket}")
    found.plan.append(f"keeps customers' rows for {config.detail_days} days, where prune is run")
    _alarms(config, found)
    if config.conductor is not None:
        found.plan.append("UNSAFE: simulated time: this configuration is for tests and simulations")
    return found


def _rosters(config: MdmsConfig, found: Findings) -> None:
    try:
        book = load_rosters(config.rosters, config.deployment, config.operator_key)
    except CannotStart as error:
        found.problems.append(str(error))
        return
    for name in book.neighbourhoods():
        newest = book.versions(name)[-1]
        bits = book.paillier_key(newest).bits
        found.plan.append(
            f"takes reports of {name}: {len(newest.members)} meters on roster version {newest.version}, intervals of"
            f" {newest.interval_s} s, a key of {bits} bits"
        )


def _database(config: MdmsConfig, found: Findings) -> None:
    try:
        url = make_url(config.database)
    except ArgumentError:
        found.problems.append("'database' is no SQLAlchemy URL, such as sqlite:////srv/mdms/mdms.sqlite3")
        return
    if url.get_backend_name() != "sqlite":
        found.plan.append(f"keeps everything in {url.get_backend_name()} at {url.host or 'a local socket'}")
        return
    place = Path(url.database or "")
    folder = place.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        found.problems.append(f"'database': {folder} is not a folder that this user can write")
        return
    found.plan.append(f"{'opens' if place.exists() else 'makes'} {place}")
    if place.exists() and place.stat().st_mode & stat.S_IRWXO:
        found.plan.append(f"WARNING: {place} holds released sums and others can read it: chmod 640, and umask 007")


def _pages(config: MdmsConfig, found: Findings) -> None:
    if config.session_key is None:
        found.plan.append("serves no page: there is no session_key")
        return
    try:
        mode = config.session_key.stat().st_mode
    except OSError as error:
        found.problems.append(f"'session_key': {config.session_key}: {error.strerror}")
        return
    if mode & OPEN_MODE:
        found.problems.append(f"'session_key': {config.session_key} can be read by others: chmod 600")
    found.plan.append(f"serves pages as {config.origin or 'loopback only: origin is not set'}")
    if config.release_log is not None and not os.access(config.release_log, os.R_OK):
        found.plan.append(f"WARNING: the release log {config.release_log} cannot be read by this user")


def _alarms(config: MdmsConfig, found: Findings) -> None:
    mail, webhook = config.alarms.mail, config.alarms.webhook
    if mail is not None:
        found.plan.append(f"watch mails alarms to {', '.join(mail.to)} by {mail.host}:{mail.port}, {mail.tls}")
    if webhook is not None:
        found.plan.append(f"watch posts alarms to {urlsplit(webhook.url).hostname}")
    if mail is None and webhook is None:
        found.plan.append("WARNING: alarms reach nobody: [alarms] names neither mail nor webhook")


def _listening(config: MdmsConfig, found: Findings) -> None:
    addresses = {"listen": config.listen}
    if config.metrics_listen is not None:
        addresses["metrics_listen"] = config.metrics_listen
    for name, address in addresses.items():
        found.plan.append(f"listens on {address.host}, port {address.port or 'any'} ({name})")
        problem = _port_problem(address)
        if problem:
            found.problems.append(f"'{name}': cannot listen on {address.host}:{address.port}: {problem}")
    if config.trusted_proxy is not None:
        found.plan.append(f"takes the word of {config.trusted_proxy} for clients' addresses")
    elif (config.origin or "").startswith("https:"):
        found.plan.append("WARNING: HTTPS without trusted_proxy: limits on guessing see one address, the proxy's")
    if not is_loopback(config.listen.host):
        found.plan.append("WARNING: speaks HTTP beyond loopback: put HTTPS in front")


def _port_problem(address: Address) -> str | None:
    """Bind and let go: nothing listens, so nobody can connect meanwhile."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except OSError as error:
        return f"{error.strerror}; is it running already? Stop what uses it or choose another"
    return None
