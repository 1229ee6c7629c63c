"""What Home Assistant is told over MQTT: which sensors there are, and what they show. No I/O.

Sources, as Home Assistant's documentation has them:
home-assistant.io/integrations/mqtt (discovery topic, single component payload, `origin`, birth and will, availability),
home-assistant.io/integrations/sensor.mqtt (`expire_after`, `state_class`, `value_template`: null becomes unknown),
developers.home-assistant.io/docs/core/entity/sensor (device classes, their units, `total_increasing`).

- Discovery is retained, states are not: "it is not recommended to retain the sensor's state payload" with
  `expire_after`, because a broker would replay it as fresh. Home Assistant's birth message has everything sent again.
- An energy is the meter's own register, `total_increasing`: nothing is lost while agent, broker or Home Assistant is
  away, and no state is kept here. Home Assistant takes the first value that it sees as zero.
- A meter is a device of its own, by its system title. A replaced meter comes with new entities, whose first register is
  their zero: were it the old entity, Home Assistant would read a lower register as a restart from 0 and count all that
  the new meter had measured elsewhere, and a fall of less than 10 % as no restart at all (docs/decisions, 40).
"""

import datetime
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from protocol import wire

from .opening import Reading

ONLINE, OFFLINE = b"online", b"offline"
JSON = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be published. A payload may hold readings and is never shown."""

    topic: str
    payload: bytes = field(repr=False)
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Sensor:
    """One entity: its member of the state, its names, and what Home Assistant is to make of it."""

    member: str
    names: dict[str, str]
    device_class: str
    unit: str | None = None
    state_class: str | None = "measurement"
    digits: int | None = None
    diagnostic: bool = False


SENSORS = (
    Sensor("import_kwh", {"en": "Import", "de": "Bezug"}, "energy", "kWh", "total_increasing", 3),
    Sensor("export_kwh", {"en": "Export", "de": "Einspeisung"}, "energy", "kWh", "total_increasing", 3),
    Sensor("power_w", {"en": "Power", "de": "Leistung"}, "power", "W", digits=0),
    Sensor("voltage_v", {"en": "Voltage", "de": "Spannung"}, "voltage", "V", digits=1),
    Sensor("current_a", {"en": "Current", "de": "Strom"}, "current", "A", digits=2),
    Sensor("power_factor", {"en": "Power factor", "de": "Leistungsfaktor"}, "power_factor", digits=2),
    Sensor("read_at", {"en": "Last reading", "de": "Letzte Ablesung"}, "timestamp", None, None, None, True),
)
ALWAYS = frozenset({"import_kwh", "export_kwh", "power_w", "read_at"})


@dataclass(frozen=True, slots=True)
class Home:
    """How this home wants it: topics, name, language, and after how many seconds a value is too old to be shown."""

    topic: str
    discovery_prefix: str
    name: str
    language: str
    stale_s: int

    @property
    def availability(self) -> str:
        """The topic that says whether the agent runs; the broker says it at its death."""
        return f"{self.topic}/agent/availability"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery_prefix}/status"

    def state_topic(self, title: bytes) -> str:
        """Return where a meter's state goes."""
        return f"{self.topic}/{title.hex()}/state"


def announcements(home: Home, title: bytes, members: frozenset[str]) -> list[Message]:
    """Return the discovery messages of a meter's sensors for some members of its state."""
    return [_announcement(home, title, sensor) for sensor in SENSORS if sensor.member in members]


def _announcement(home: Home, title: bytes, sensor: Sensor) -> Message:
    name = f"hushmeter_{title.hex()}_{sensor.member}"
    values = {
        "name": sensor.names[home.language],
        "unique_id": name,
        "state_topic": home.state_topic(title),
        "value_template": f"{{{{ value_json.{sensor.member} }}}}",
        "device_class": sensor.device_class,
        "state_class": sensor.state_class,
        "unit_of_measurement": sensor.unit,
        "suggested_display_precision": sensor.digits,
        "entity_category": "diagnostic" if sensor.diagnostic else None,
        "expire_after": home.stale_s,
        "availability_topic": home.availability,
        "payload_available": ONLINE.decode(),
        "payload_not_available": OFFLINE.decode(),
        "qos": 1,
        "device": {
            "identifiers": [f"hushmeter_{title.hex()}"],
            "name": home.name,
            "manufacturer": "Hushmeter",
            "model": "Hushmeter meter",
            "serial_number": title.hex(),
        },
        "origin": {"name": "Hushmeter customer agent"},
    }
    given = {member: value for member, value in values.items() if value is not None}
    return Message(f"{home.discovery_prefix}/sensor/{name}/config", msgspec.json.encode(given), retain=True)


def state(home: Home, reading: Reading, *, fresh: bool) -> Message:
    """Return a meter's state. Registers are true for ever; what was measured a while ago is null unless fresh."""
    return Message(home.state_topic(reading.title), JSON.encode(values(reading, fresh=fresh)))


def members(reading: Reading) -> frozenset[str]:
    """Return what a meter can measure, by one of its readings: sensors that it has no number for are not announced."""
    measured = values(reading, fresh=True)
    return ALWAYS | {member for member, value in measured.items() if value is not None}


def values(reading: Reading, *, fresh: bool) -> dict[str, Decimal | str | None]:
    """Return {member: value} in the units of SENSORS, exactly; None where nothing was measured, or not lately."""
    detail = reading.detail
    net_mwh = detail.import_mwh - detail.export_mwh
    watts = Decimal(net_mwh * 3600) / (1000 * detail.length_s) if detail.length_s else None
    now = {
        # Drawing from the grid is positive, as the energy dashboard wants a grid's power.
        "power_w": round(watts, 1) if watts is not None else None,
        "voltage_v": _measured(detail.decivolts, wire.NOT_MEASURED, 1),
        "current_a": _measured(detail.centiamperes, wire.NOT_MEASURED, 2),
        "power_factor": _measured(detail.power_factor, wire.FACTOR_NOT_MEASURED, 3),
    }
    return {
        "import_kwh": Decimal(detail.import_register).scaleb(-6),
        "export_kwh": Decimal(detail.export_register).scaleb(-6),
        **(now if fresh else dict.fromkeys(now)),
        "read_at": datetime.datetime.fromtimestamp(detail.end, datetime.UTC).isoformat(),
    }


def _measured(value: int, missing: int, digits: int) -> Decimal | None:
    return None if value == missing else Decimal(value).scaleb(-digits)
