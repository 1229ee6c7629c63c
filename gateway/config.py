"""The daemon's configuration: one TOML file, one frozen object; an unknown or missing key is refused by its name."""

import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from paillier.table import LEAST_EXPONENT_BITS, MOST_WINDOW_BITS
from protocol.documents import DocumentError, import_public_key

from .encryption import MODES, Settings
from .trusted_clock import SYSTEM, TRUSTS

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MQTT_PORTS = {"mqtts": 8883, "mqtt": 1883}
MAX_NAME = 1024  # bytes of a topic or a user's name; MQTT has room for 65,535


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and says what to do."""


@dataclass(frozen=True)
class Config:
    """What the daemon is told. Paths are relative to the file's own folder.

    ``min_contributors`` is k: below it a load's report carries no ciphertext. ``clock`` is "system", or
    "conducted:HOST:PORT" for simulations, which needs ``unsafe_simulated_clock``. ``serial`` are ports beside the
    TCP link, the ``mqtt`` keys a broker; ``authentic_within_s`` is machine time. ``detail_s`` is the detail length
    that meters are told, 0: they are told nothing. ``accumulator`` to ``pool_size`` are the settings of encryption.
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
    outbox_max_mb: int = 1000
    disk_floor_mb: int = 200
    max_connections: int = 4096
    authentic_within_s: int = 60
    serial: tuple[str, ...] = ()
    baud: int = 115200
    mqtt_url: str = ""
    mqtt_topic: str = ""
    mqtt_ca: Path | None = None
    mqtt_username: str = ""
    mqtt_password_file: Path | None = None
    detail_s: int = 0
    accumulator: str = Settings.accumulator
    table_window_bits: int = Settings.table_window_bits
    exponent_bits: int = Settings.exponent_bits
    pool_size: int = Settings.pool_size
    metrics_listen: str = ""
    metrics_beyond_loopback: bool = False
    clock: str = "system"
    clock_trust: str = SYSTEM
    unsafe_simulated_clock: bool = False
    unsafe_small_key: bool = False

    def address(self) -> tuple[str, int]:
        """Return (host, port) to listen on."""
        return _address(self.listen, "listen")

    def metrics_address(self) -> tuple[str, int] | None:
        """Return (host, port) to answer Prometheus on, or None where it is off."""
        return _address(self.metrics_listen, "metrics_listen") if self.metrics_listen else None

    def broker(self) -> tuple[str, int, bool]:
        """Return the broker's (host, port, whether by TLS); raises ConfigError where ``mqtt_url`` is none."""
        try:
            url = urlsplit(self.mqtt_url)
            host, port = url.hostname, url.port
            usable = bool(host) and port != 0 and not (url.path.strip("/") or url.query or url.fragment or url.username)
        except ValueError:  # an address or a port that is none
            usable = False
        if not usable or not host or url.scheme not in MQTT_PORTS:
            raise ConfigError("'mqtt_url' must be mqtts://HOST or mqtts://HOST:PORT, mqtt to loopback only")
        return host, port or MQTT_PORTS[url.scheme], url.scheme == "mqtts"

    def meters_topic(self) -> str:
        """Return the topic above those of the meters."""
        return self.mqtt_topic or "/".join(("hushmeter", self.deployment))

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
        data = path.read_bytes()
        text = data.decode()
        values = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path} is not TOML: it is not UTF-8 (at line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    known = {field.name: field for field in fields(Config)}
    for name in values:
        if name not in known:
            raise ConfigError(f"{_place(path, text, name)}: unknown key '{name}'; known are {', '.join(known)}")
    for name, field in known.items():
        if name not in values:
            if field.default is MISSING:
                raise ConfigError(f"{path}: missing key '{name}'")
            continue
        kind = KINDS[field.name]
        # bool is an int to isinstance, and true is no number here
        if not isinstance(values[name], kind) or (kind is int and isinstance(values[name], bool)):
            raise ConfigError(f"{_place(path, text, name)}: '{name}' must be of type {kind.__name__}")
        if field.type in (Path, Path | None):
            values[name] = path.parent / values[name]
        if kind is list:
            if not all(isinstance(item, str) and item for item in values[name]):
                raise ConfigError(f"{_place(path, text, name)}: '{name}' must be a list of strings, none of them empty")
            values[name] = tuple(values[name])
    config = Config(**values)
    try:
        _check(config)
    except ConfigError as error:
        named = re.match(r"'(\w+)'", str(error))
        raise ConfigError(f"{_place(path, text, named[1] if named else '')}: {error}") from None
    return config


def _place(path: Path, text: str, name: str) -> str:
    """Return where a key stands, as far as that can be said: TOML's reader forgets the lines."""
    at = re.search(rf"^[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*=", text, re.M) if name else None
    return f"{path}, line {text.count(chr(10), 0, at.start()) + 1}" if at else str(path)


def _check(config: Config) -> None:
    config.address()
    try:
        import_public_key(config.operator_key)
    except DocumentError as error:
        raise ConfigError(f"'operator_key': {error}; deployment.json of the ceremony has it") from None
    for name, least in (
        ("min_contributors", 2),
        ("grace_s", 0),
        ("accepted_delay_days", 1),
        ("commit_delay_ms", 0),
        ("outbox_max_mb", 1),
        ("disk_floor_mb", 0),
        ("max_connections", 1),
        ("authentic_within_s", 1),
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
    metrics = config.metrics_address()
    if metrics and metrics[0] not in LOOPBACK and not config.metrics_beyond_loopback:
        raise ConfigError("'metrics_listen' must be on loopback, or metrics_beyond_loopback = true: they have no login")
    if len(set(config.serial)) != len(config.serial):
        raise ConfigError("'serial' names a port twice")
    _check_mqtt(config)
    if config.clock_trust not in TRUSTS:
        raise ConfigError(f"'clock_trust' must be one of {', '.join(TRUSTS)}")
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


def _check_mqtt(config: Config) -> None:
    if not config.mqtt_url:
        for name in ("mqtt_topic", "mqtt_ca", "mqtt_username", "mqtt_password_file"):
            if getattr(config, name):
                raise ConfigError(f"'{name}' is for a broker: name it in 'mqtt_url', or leave this out")
        return
    host, _, secure = config.broker()
    if not secure and host not in LOOPBACK:
        raise ConfigError("'mqtt_url' must be mqtts for anything but loopback")
    if config.mqtt_ca and not secure:
        raise ConfigError("'mqtt_ca' is for TLS: say mqtts in 'mqtt_url', or leave this out")
    if config.mqtt_password_file and not config.mqtt_username:
        raise ConfigError("'mqtt_password_file' needs 'mqtt_username'")
    if len(config.mqtt_username.encode()) > MAX_NAME:
        raise ConfigError(f"'mqtt_username' must have {MAX_NAME} bytes or fewer")
    topic = config.meters_topic()
    if set(topic) & set("+#\0") or topic[0] in "/$" or topic[-1] == "/" or len(topic.encode()) > MAX_NAME:
        raise ConfigError(
            f"'mqtt_topic' must be a topic without +, #, a $ or / in front or a / behind, in {MAX_NAME} bytes; "
            f"'{topic}' is none"
        )


def _address(text: str, name: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:
        raise ConfigError(f"'{name}' must be HOST:PORT, not '{text}'")
    return host.strip("[]"), int(port)
