"""The agent's configuration: one TOML file, one frozen object; what is unknown, missing or unsafe is refused."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5), LoadCredential=
KEY, PASSPHRASE, MQTT_PASSWORD = "customer.pem", "passphrase", "mqtt-password"  # the names of credentials
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?\Z")
PORTS = {"mqtts": 8883, "mqtt": 1883}
DEFAULT_PORTS = {"https": 443, "http": 80}
OTHERS = 0o077  # what a file's group and everybody may do

# Discovery's levels, and characters that no MQTT topic may hold (MQTT 3.1.1, section 4.7).
Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z", max_length=128)]


class ConfigurationError(Exception):
    """The configuration, or a file that it names, cannot be used; the message says which and what to do."""


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the agent is told. Paths are relative to the file's own folder.

    ``server`` is the portal's origin as a browser shows it: the login is bound to it. ``operator_key`` (base64url) with
    ``deployment`` has the envelope's signature verified too. Without ``mqtt_url`` nothing is published. Key, passphrase
    and the broker's password may be systemd's credentials instead of files.
    """

    server: str
    account: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}\Z")]
    key: Path | None = None
    passphrase_file: Path | None = None
    server_ca: Path | None = None
    deployment: str = ""
    operator_key: str = ""
    mqtt_url: str = ""
    mqtt_without_tls: bool = False
    mqtt_ca: Path | None = None
    mqtt_username: str = ""
    mqtt_password_file: Path | None = None
    topic: Topic = "hushmeter"
    discovery_prefix: Topic = "homeassistant"
    name: Annotated[str, Meta(min_length=1, max_length=64)] = "Electricity meter"
    language: Annotated[str, Meta(pattern=r"^(en|de)\Z")] = "en"
    poll_s: Annotated[int, Meta(ge=2, le=3600)] = 5
    stale_s: Annotated[int, Meta(ge=60, le=86400)] = 900
    arrival_file: Path | None = None

    def broker(self) -> tuple[str, int, bool]:
        """Return the broker's (host, port, whether by TLS); raises ConfigurationError."""
        try:
            url = urlsplit(self.mqtt_url)
            host, port = url.hostname, url.port
            usable = bool(host) and port != 0 and not (url.path.strip("/") or url.query or url.fragment or url.username)
        except ValueError:  # an address or a port that is none
            usable = False
        if not usable or not host or url.scheme not in PORTS:
            raise ConfigurationError("'mqtt_url' must be mqtts://HOST or mqtts://HOST:PORT, or mqtt:// within the home")
        if url.scheme == "mqtt" and not is_loopback(host) and not self.mqtt_without_tls:
            raise ConfigurationError(
                "'mqtt_url' sends readings and password in clear over the home's network: use mqtts://, or say "
                "mqtt_without_tls = true if everyone on that network may read them"
            )
        return host, port or PORTS[url.scheme], url.scheme == "mqtts"


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(path: Path) -> Configuration:
    """Read and check a configuration; raises ConfigurationError."""

    def place(kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str) and value:
            return path.parent / value
        raise ValueError("a path is expected")

    try:
        values = msgspec.toml.decode(path.read_bytes())
        configuration = msgspec.convert(values, Configuration, dec_hook=place)
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (ValueError, msgspec.MsgspecError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise ConfigurationError(f"{path}: {error}") from None
    _check_server(path, configuration)
    if bool(configuration.operator_key) != bool(configuration.deployment):
        raise ConfigurationError(f"{path}: 'operator_key' and 'deployment' go together")
    return configuration


def _check_server(path: Path, configuration: Configuration) -> None:
    url = urlsplit(configuration.server)
    if not ORIGIN.match(configuration.server):
        raise ConfigurationError(
            f"{path}: 'server' must be an origin in small letters, such as https://utility.example"
        )
    if url.port == DEFAULT_PORTS[url.scheme]:
        # A browser leaves it out, and the login is bound to what a browser says (RFC 6454, section 6.2).
        raise ConfigurationError(f"{path}: 'server' must not name its scheme's own port {url.port}")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ConfigurationError(f"{path}: 'server' must be https, except on this machine")


def credential_file(name: str) -> Path | None:
    """Return where systemd has put a credential, or None where it has not."""
    given = os.environ.get(CREDENTIALS)
    path = Path(given) / name if given else None
    return path if path is not None and path.exists() else None


def read_secret(path: Path | None, credential: str) -> str | None:
    """Return the text of a file for its owner only, or of systemd's credential of that name; None: there is neither.

    Raises ConfigurationError.
    """
    path = path or credential_file(credential)
    if path is None:
        return None
    try:
        data = read_private(path).decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    return data.removesuffix("\n").removesuffix("\r")


def read_private(path: Path) -> bytes:
    """Return a file's bytes; raises ConfigurationError where others may read it too."""
    given = os.environ.get(CREDENTIALS)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # systemd guards the folder of credentials by other means than the files' modes.
            if mode & OTHERS and not (given and path.parent == Path(given)):
                raise ConfigurationError(f"{path} is not for its owner only: chmod 600 {path}")
            return file.read(1 << 16)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
