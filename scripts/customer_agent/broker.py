"""The home's MQTT broker, by paho-mqtt. One connection is one client: nothing that waited in an old one is sent late.

paho would connect again by itself and send what was in flight before; a register of yesterday would then follow one of
today. So a connection that is lost takes its queue with it, and after the next one the agent sends the newest anew.
"""

import contextlib
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from .home_assistant import OFFLINE, ONLINE, Home, Message

CONNECT_S = 10
KEEPALIVE_S = 30
SHORTEST_S, LONGEST_S = 1, 60


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and who asks; ``tls`` None: in clear. The password is never shown."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str | None
    password: str | None = field(default=None, repr=False)


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return TLS that accepts certificates for the host's name by a PEM file's authorities, or the system's."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Broker:
    """Keeps a connection. ``connect`` and ``publish`` are called from one thread; paho's own thread reads.

    A ``silent`` one says nothing at all: what a running agent has said of itself stays as it is.
    """

    def __init__(self, address: Address, home: Home, wake: threading.Event, *, silent: bool = False) -> None:
        self._address = address
        self._home = home
        self._wake = wake
        self._silent = silent
        self._client: paho.Client | None = None
        self._answered = threading.Event()
        self._refusal = ""
        self._born = threading.Event()
        self._pause = SHORTEST_S
        self._not_before = 0.0

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._client is not None and self._client.is_connected()

    def connect(self, now: float) -> str | None:
        """Connect where that is due. Returns "" when that is done, what is wrong, or None where nothing was tried."""
        if self.connected or now < self._not_before:
            return None
        self._drop()
        wrong = self._try()
        if not wrong:
            self._pause = SHORTEST_S
            return ""
        self._drop()
        self._not_before = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_S)
        return wrong

    def due(self, now: float) -> float:
        """Return in how many seconds connecting is worth a try."""
        return max(0.0, self._not_before - now)

    def was_asked(self) -> bool:
        """Say, once each time, whether Home Assistant has started and has to be told everything."""
        asked = self._born.is_set()
        self._born.clear()
        return asked

    def publish(self, message: Message) -> None:
        """Hand a message to the connection, or drop it where there is none: the newest is sent after the next one."""
        if self._client is not None and self.connected:
            self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)

    def close(self) -> None:
        """Say that the agent is off, and hang up."""
        if self._client is not None and self.connected and not self._silent:
            said = self._client.publish(self._home.availability, OFFLINE, qos=1, retain=True)
            # Where the connection goes first, the broker says it for the agent.
            with contextlib.suppress(ValueError, RuntimeError):
                said.wait_for_publish(CONNECT_S)
        self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _try(self) -> str:
        address = self._address
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, reconnect_on_failure=False)
        if not self._silent:
            client.will_set(self._home.availability, OFFLINE, qos=1, retain=True)
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        if address.tls is not None:
            client.tls_set_context(address.tls)
        client.connect_timeout = CONNECT_S
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        self._answered.clear()
        self._refusal = "it does not answer"
        try:
            client.connect(address.host, address.port, KEEPALIVE_S)
        except ssl.SSLCertVerificationError:
            return "its certificate is not accepted: check 'mqtt_url', 'mqtt_ca' and the clock"
        except (OSError, ValueError) as error:
            return f"it cannot be reached: {type(error).__name__}"
        self._client = client
        client.loop_start()
        self._answered.wait(CONNECT_S)
        return self._refusal

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal = f"it refuses: {reason}"
        else:
            self._refusal = ""
        if not reason.is_failure and not self._silent:
            client.subscribe(self._home.birth, qos=1)
            client.publish(self._home.availability, ONLINE, qos=1, retain=True)
        self._answered.set()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        # A retained birth is one that the agent has missed; what it connects for is sent anyway.
        if message.topic == self._home.birth and message.payload == ONLINE and not message.retain:
            self._born.set()
            self._wake.set()

    def _on_disconnect(self, client: paho.Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        if client is self._client:
            self._wake.set()
