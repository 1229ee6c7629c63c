"""The table [alarms] of the configuration: limits, channels, and where their secrets lie."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ..errors import CannotStart, ConfigError
from ..fleet.limits import Limits

CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5), LoadCredential=
MAIL_CREDENTIAL, WEBHOOK_CREDENTIAL = "alarm-mail", "alarm-webhook"
MAILBOX = re.compile(r"[^\s<>,;:\"@]+@[^\s<>,;:\"@]+\Z")
OTHERS = stat.S_IRWXG | stat.S_IRWXO
LEAST_SECRET = 16

Port = Annotated[int, Meta(ge=1, lt=1 << 16)]
Text = Annotated[str, Meta(min_length=1, max_length=300)]


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mail server to submit to, and for whom; ``password`` is a file."""

    host: Text
    sender: Text
    to: Annotated[list[Text], Meta(min_length=1, max_length=20)]
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: str = ""
    ca: str = ""


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address that takes JSON by POST; ``secret`` is a file."""

    url: Text
    secret_file: str = ""
    ca: str = ""


class AlarmSettings(Limits, frozen=True, forbid_unknown_fields=True):
    """When to raise an alarm, and whom to tell."""

    remind_hours: Annotated[int, Meta(ge=1, le=24 * 30)] = 24
    clear_minutes: Annotated[int, Meta(ge=0, le=24 * 60)] = 10
    every_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    mail: MailSettings | None = None
    webhook: WebhookSettings | None = None


NO_ALARMS = AlarmSettings()


def read_settings(table: dict[str, Any], path: Path) -> AlarmSettings:
    """Return the settings of a configuration file's table [alarms]; raises ConfigError naming the key."""
    try:
        found: AlarmSettings = msgspec.convert(table, AlarmSettings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: alarms: {error}") from None
    if found.mail is not None:
        _check_mail(found.mail, path)
        files = {name: _placed(getattr(found.mail, name), path) for name in ("password_file", "ca")}
        found = replace(found, mail=replace(found.mail, **files))
    if found.webhook is not None:
        _check_webhook(found.webhook, path)
        files = {name: _placed(getattr(found.webhook, name), path) for name in ("secret_file", "ca")}
        found = replace(found, webhook=replace(found.webhook, **files))
    return found


def _check_mail(mail: MailSettings, path: Path) -> None:
    for address in (mail.sender, *mail.to):
        if not MAILBOX.match(address):
            raise ConfigError(f"{path}: alarms.mail: {address[:64]!r} is no address of a mailbox")
    if mail.tls == "none" and not is_local(mail.host):
        raise ConfigError(f"{path}: alarms.mail: tls may be none for loopback only")
    if mail.password_file and not mail.user:
        raise ConfigError(f"{path}: alarms.mail: a password_file without a user")


def _check_webhook(webhook: WebhookSettings, path: Path) -> None:
    parts = urlsplit(webhook.url)
    try:
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.username is not None or parts.fragment:
        raise ConfigError(f"{path}: alarms.webhook: url must be https://HOST/PATH, without a password in it")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local(parts.hostname or "")):
        raise ConfigError(f"{path}: alarms.webhook: url must be https; http goes to loopback only")


def _placed(name: str, path: Path) -> str:
    return str(path.parent / name) if name else ""


def is_local(host: str) -> bool:
    """Say whether a host is this machine by its name or its loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_secret(file: str, credential: str) -> bytes:
    """Return the text of a file that only its owner may read, or of systemd's credential; raises CannotStart.

    The line's end is no part of it.
    """
    folder = os.environ.get(CREDENTIALS)
    if not file and not folder:
        raise CannotStart(f"alarms: no file is configured for the secret, and systemd gives no credential {credential}")
    path = Path(file) if file else Path(folder or "") / credential
    try:
        if file and path.stat().st_mode & OTHERS and os.name == "posix":
            raise CannotStart(f"alarms: {path}: others may read it; chmod 600")
        text = path.read_bytes()[:1000].rstrip(b"\r\n")
    except OSError as error:
        raise CannotStart(f"alarms: {path}: {error.strerror}") from None
    if not text:
        raise CannotStart(f"alarms: {path} is empty")
    return text
