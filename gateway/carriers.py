"""What the links need before the daemon starts: the broker's certificates and password, and room for connections."""

import resource

from .config import Config, ConfigError
from .links.mqtt import Broker, trust

SPARE_FILES = 128  # beside connections: the ledger's, its threads', uploads, serial ports, the broker


def read_broker(config: Config) -> Broker | None:
    """Return how the broker is spoken to, None where there is none; raises ConfigError."""
    if not config.mqtt_url:
        return None
    host, port, secure = config.broker()
    tls, password = None, None
    if secure:
        try:
            tls = trust(config.mqtt_ca)
        except OSError as error:
            raise ConfigError(
                f"'mqtt_ca': {config.mqtt_ca} holds no certificate that can be read ({error.strerror})"
            ) from None
    if config.mqtt_password_file:
        try:
            password = config.mqtt_password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"'mqtt_password_file': cannot read {config.mqtt_password_file}") from None
    return Broker(host, port, config.meters_topic(), tls, config.mqtt_username or None, password)


def allow_files(config: Config) -> None:
    """Let the process have as many files open as it may have connections; raises ConfigError.

    Otherwise a flood of connections would take the files that the ledger, the uploads and the other links need.
    """
    wanted = config.max_connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigError(
            f"'max_connections' takes {wanted} open files and the system allows {hard}: "
            f"lower it to {max(hard - SPARE_FILES, 1)}, or raise the limit (LimitNOFILE= of systemd, ulimit -n)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
