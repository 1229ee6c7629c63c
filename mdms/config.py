"""Configuration: one frozen object per process, read from TOML. An unknown or missing key is refused by name.

Relative paths are meant from the directory of the configuration file.
"""

import dataclasses
import ipaddress
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Crypto.PublicKey.ECC import EccKey

from protocol.documents import DocumentError, import_public_key

from .alarms.settings import NO_ALARMS, AlarmSettings, read_settings
from .errors import ConfigError
from .periods import Periods, parse_periods

LEAST_CONTRIBUTORS = 2  # a "sum" of one is a reading
ADVISED_CONTRIBUTORS = 50
CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5), LoadCredential=
ORIGIN = re.compile(r"(https://[a-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?)\Z")
REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
LEAST_DETAIL_DAYS = 31
LANGUAGES = ("de", "en")  # of bills: those in statements/texts


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class MdmsConfig:
    """What the web server and the release worker are told; see README.md for each key."""

    deployment: str
    database: str
    operator_key: EccKey
    rosters: Path
    keyholder_socket: Path
    envelopes: Path | None = None
    revocations: Path | None = None
    listen: Address = Address("127.0.0.1", 8600)
    conductor: Address | None = None
    session_key: Path | None = None
    origin: str | None = None
    release_log: Path | None = None
    log_key: EccKey | None = None
    feeders: Path | None = None
    regions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tariffs: Path | None = None
    language: str = "en"
    trusted_proxy: str | None = None
    metrics_listen: Address | None = None
    metrics_beyond_loopback: bool = False
    detail_days: int = 400
    alarms: AlarmSettings = NO_ALARMS


@dataclass(frozen=True, slots=True)
class KeyholderConfig:
    """What the key holder is told; see README.md for each key."""

    deployment: str
    operator_key: EccKey
    rosters: Path
    keys: Path
    log_key: Path
    passphrase_file: Path
    database: Path
    socket: Path
    log_file: Path
    period: Periods
    tariffs: Path | None = None
    min_contributors: int = 10
    unsafe_short_periods: bool = False
    unsafe_small_key: bool = False
    published_head: Path | None = None
    conductor: Address | None = None

    def unsafe_flags(self) -> tuple[str, ...]:
        """Return the names of the unsafe settings in force; every answer and log entry carries them."""
        flags = {
            "unsafe_short_periods": self.unsafe_short_periods,
            "unsafe_simulated_clock": self.conductor is not None,
            "unsafe_small_key": self.unsafe_small_key,
        }
        return tuple(name for name, active in flags.items() if active)


class _Table:
    """The keys of one TOML file, each taken once by name and type; what is left over is unknown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._left: dict[str, Any] = tomllib.load(file)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None

    def wrong(self, key: str, reason: str) -> ConfigError:
        return ConfigError(f"{self._path}: {key}: {reason}")

    def take(self, key: str, kind: type, default: Any = dataclasses.MISSING) -> Any:
        if key not in self._left:
            if default is dataclasses.MISSING:
                raise ConfigError(f"{self._path}: missing key: {key}")
            return default
        value = self._left.pop(key)
        # type() and not isinstance(): true is no integer.
        if type(value) is not kind:
            raise self.wrong(key, f"must be of type {kind.__name__}")
        return value

    def text(self, key: str, default: Any = dataclasses.MISSING) -> str:
        value: str = self.take(key, str, default)
        if not value:
            raise self.wrong(key, "is empty")
        return value

    def place(self, key: str) -> Path:
        return self._path.parent / self.text(key)

    def optional_place(self, key: str) -> Path | None:
        return self.place(key) if key in self._left else None

    def key(self, key: str) -> EccKey:
        try:
            return import_public_key(self.text(key))
        except DocumentError as error:
            raise self.wrong(key, str(error)) from None

    def address(self, key: str, text: str) -> Address:
        host, _, port = text.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port[:6]) < 1 << 16:
            raise self.wrong(key, "must be HOST:PORT")
        return Address(host.strip("[]"), int(port))

    def conductor(self) -> Address | None:
        """Return where simulated time comes from; None stands for the machine's own clock."""
        simulated = self.take("unsafe_simulated_clock", bool, False)
        text = self.text("clock", "system")
        if text == "system":
            if simulated:
                raise self.wrong("unsafe_simulated_clock", 'is set although clock is "system"')
            return None
        kind, _, rest = text.partition(":")
        if kind != "conducted":
            raise self.wrong("clock", 'must be "system" or "conducted:HOST:PORT"')
        if not simulated:
            raise self.wrong("clock", "simulated time is refused without unsafe_simulated_clock = true")
        return self.address("clock", rest)

    def regions(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the regions, each with its neighbourhoods, in the file's order."""
        found = []
        for name, members in self.take("regions", dict, {}).items():
            if not REGION.match(name):
                raise self.wrong("regions", f"{name!r} is no name: small letters, digits and hyphens")
            if not isinstance(members, list) or not members or not all(isinstance(it, str) for it in members):
                raise self.wrong("regions", f"{name} must be a list of neighbourhoods")
            if len(set(members)) != len(members):
                raise self.wrong("regions", f"{name} names a neighbourhood twice")
            found.append((name, tuple(members)))
        return tuple(found)

    def has(self, key: str) -> bool:
        return key in self._left

    def nothing_left(self) -> None:
        if self._left:
            raise ConfigError(f"{self._path}: unknown key: {sorted(self._left)[0]}")


def load_mdms_config(path: Path) -> MdmsConfig:
    """Return the configuration of `serve` and `worker`; raises ConfigError naming the key."""
    table = _Table(path)
    config = MdmsConfig(
        deployment=table.text("deployment"),
        database=table.text("database"),
        operator_key=table.key("operator_key"),
        rosters=table.place("rosters"),
        keyholder_socket=table.place("keyholder_socket"),
        envelopes=table.optional_place("envelopes"),
        revocations=table.optional_place("revocations"),
        listen=table.address("listen", table.text("listen", "127.0.0.1:8600")),
        conductor=table.conductor(),
        session_key=table.optional_place("session_key"),
        origin=table.take("origin", str, None),
        release_log=table.optional_place("release_log"),
        log_key=table.key("log_key") if table.has("log_key") else None,
        feeders=table.optional_place("feeders"),
        regions=table.regions(),
        tariffs=table.optional_place("tariffs"),
        language=table.text("language", "en"),
        trusted_proxy=table.take("trusted_proxy", str, None),
        metrics_listen=table.address("metrics_listen", table.text("metrics_listen"))
        if table.has("metrics_listen")
        else None,
        metrics_beyond_loopback=table.take("metrics_beyond_loopback", bool, False),
        detail_days=table.take("detail_days", int, 400),
        alarms=read_settings(table.take("alarms", dict, {}), path),
    )
    _check_pages(table, config)
    _check_operation(table, config)
    table.nothing_left()
    return config


def _check_pages(table: _Table, config: MdmsConfig) -> None:
    if config.origin is not None and not ORIGIN.match(config.origin):
        raise table.wrong("origin", "must be https://HOST, or http://localhost:PORT for loopback")
    if (config.release_log is None) != (config.log_key is None):
        raise table.wrong("log_key", "release_log and log_key are given together or not at all")
    if config.language not in LANGUAGES:
        raise table.wrong("language", f"bills are written in {' or '.join(LANGUAGES)}")


def _check_operation(table: _Table, config: MdmsConfig) -> None:
    if config.trusted_proxy is not None and not _is_ip_address(config.trusted_proxy):
        raise table.wrong("trusted_proxy", "must be the IP address from which the proxy connects")
    metrics = config.metrics_listen
    if metrics is not None and not config.metrics_beyond_loopback and not is_loopback(metrics.host):
        raise table.wrong("metrics_listen", "is not on loopback: say metrics_beyond_loopback = true if it may be read")
    if config.detail_days < LEAST_DETAIL_DAYS:
        # What a concentrator may still send again must not be stored a second time.
        raise table.wrong("detail_days", f"must be {LEAST_DETAIL_DAYS} or more")


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    return ipaddress.ip_address(host).is_loopback if _is_ip_address(host) else host == "localhost"


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def load_keyholder_config(path: Path) -> KeyholderConfig:
    """Return the configuration of `keyholder`; raises ConfigError naming the key."""
    table = _Table(path)
    try:
        period = parse_periods(table.text("period", "month"))
    except ValueError as error:
        raise table.wrong("period", str(error)) from None
    least = table.take("min_contributors", int, 10)
    if least < LEAST_CONTRIBUTORS:
        raise table.wrong("min_contributors", f"must be {LEAST_CONTRIBUTORS} or more")
    config = KeyholderConfig(
        deployment=table.text("deployment"),
        operator_key=table.key("operator_key"),
        rosters=table.place("rosters"),
        keys=table.place("keys"),
        log_key=table.place("log_key"),
        passphrase_file=table.optional_place("passphrase_file") or _credential(table),
        database=table.place("database"),
        socket=table.place("socket"),
        log_file=table.place("log_file"),
        period=period,
        tariffs=table.optional_place("tariffs"),
        min_contributors=least,
        unsafe_short_periods=table.take("unsafe_short_periods", bool, False),
        unsafe_small_key=table.take("unsafe_small_key", bool, False),
        published_head=table.optional_place("published_head"),
        conductor=table.conductor(),
    )
    table.nothing_left()
    return config


def _credential(table: _Table) -> Path:
    directory = os.environ.get(CREDENTIALS)
    if not directory:
        raise table.wrong("passphrase_file", f"is missing, and so is systemd's {CREDENTIALS}")
    return Path(directory) / "passphrase"
