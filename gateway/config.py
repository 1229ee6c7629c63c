"""The daemon's configuration: one TOML file, one frozen object; an unknown or missing key is refused by its name."""

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from paillier.table import LEAST_EXPONENT_BITS, MOST_WINDOW_BITS

from .encryption import MODES, Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and says what to do."""


@dataclass(frozen=True)
class Config:
    """What the daemon is told. Paths are relative to the file's own folder.

    ``min_contributors`` is k: below it a load's report carries no ciphertext. ``clock`` is "system", or
    "conducted:HOST:PORT" for simulations, which needs ``unsafe_simulated_clock``. ``serial`` are ports beside the
    TCP link. ``detail_s`` is the detail length that meters are told, 0: they are told nothing. ``accumulator`` to
    ``pool_size`` are the settings of encryption.
    """

    deployment: str
    operator_key: str
    identity_key: Path
    rosters: Path
    enrolment: Path
    ledger: Path
    listen: str
    mdms_url: str
    min_contributors: int = 10
    grace_s: int = 300
    accepted_delay_days: int = 7
    commit_delay_ms: int = 20
    max_connections: int = 4096
    serial: tuple[str, ...] = ()
    baud: int = 115200
    detail_s: int = 0
    accumulator: str = Settings.accumulator
    table_window_bits: int = Settings.table_window_bits
    exponent_bits: int = Settings.exponent_bits
    pool_size: int = Settings.pool_size
    clock: str = "system"
    unsafe_simulated_clock: bool = False
    unsafe_small_key: bool = False

    def address(self) -> tuple[str, int]:
        """Return (host, port) to listen on."""
        return _address(self.listen, "listen")

    def encryption(self) -> Settings:
        """Return how readings are encrypted."""
        return Settings(self.accumulator, self.table_window_bits, self.exponent_bits, self.pool_size)

    def conductor(self) -> tuple[str, int] | None:
        """Return the conductor's (host, port), or None where the system's clock counts."""
        if self.clock == "system":
            return None
        return _address(self.clock.removeprefix("conducted:"), "clock")


# What TOML must hold for each key.
KINDS: dict[str, type] = {
    field.name: field.type if field.type in (str, int, bool) and isinstance(field.type, type) else str
    for field in fields(Config)
} | {"serial": list}


def load(path: Path) -> Config:
    """Read and check a configuration; raises ConfigError."""
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    known = {field.name: field for field in fields(Config)}
    for name in values:
        if name not in known:
            raise ConfigError(f"{path}: unknown key '{name}'; known are {', '.join(known)}")
    for name, field in known.items():
        if name not in values:
            if field.default is MISSING:
                raise ConfigError(f"{path}: missing key '{name}'")
            continue
        kind = KINDS[field.name]
        # bool is an int to isinstance, and true is no number here
        if not isinstance(values[name], kind) or (kind is int and isinstance(values[name], bool)):
            raise ConfigError(f"{path}: '{name}' must be of type {kind.__name__}")
        if field.type is Path:
            values[name] = path.parent / values[name]
        if kind is list:
            if not all(isinstance(item, str) and item for item in values[name]):
                raise ConfigError(f"{path}: '{name}' must be a list of strings, none of them empty")
            values[name] = tuple(values[name])
    config = Config(**values)
    _check(config)
    return config


def _check(config: Config) -> None:
    config.address()
    for name, least in (
        ("min_contributors", 2),
        ("grace_s", 0),
        ("accepted_delay_days", 1),
        ("commit_delay_ms", 0),
        ("max_connections", 1),
        ("baud", 1),
        ("detail_s", 0),
        ("table_window_bits", 0),
        ("pool_size", 1),
    ):
        if getattr(config, name) < least:
            raise ConfigError(f"'{name}' must be {least} or more")
    if config.accumulator not in MODES:
        raise ConfigError(f"'accumulator' must be one of {', '.join(MODES)}")
    if config.table_window_bits > MOST_WINDOW_BITS:
        raise ConfigError(f"'table_window_bits' must be {MOST_WINDOW_BITS} or less")
    if config.exponent_bits and config.exponent_bits < LEAST_EXPONENT_BITS:
        raise ConfigError(f"'exponent_bits' must be 0, for half of the key, or {LEAST_EXPONENT_BITS} or more")
    if len(set(config.serial)) != len(config.serial):
        raise ConfigError("'serial' names a port twice")
    if config.clock != "system":
        if not config.clock.startswith("conducted:"):
            raise ConfigError('\'clock\' must be "system" or "conducted:HOST:PORT"')
        if not config.unsafe_simulated_clock:
            raise ConfigError("a conducted clock is for simulations: it needs unsafe_simulated_clock = true")
        if _address(config.clock.removeprefix("conducted:"), "clock")[0] not in LOOPBACK:
            raise ConfigError("'clock': a conductor is taken from loopback only")
    try:
        url = urlsplit(config.mdms_url)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # an address or a port that is none
        usable = False
    if not usable:
        raise ConfigError("'mdms_url' must be an http or https address")
    if url.scheme == "http" and url.hostname not in LOOPBACK:
        raise ConfigError("'mdms_url' must be https for anything but loopback")


def _address(text: str, name: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:
        raise ConfigError(f"'{name}' must be HOST:PORT, not '{text}'")
    return host.strip("[]"), int(port)
