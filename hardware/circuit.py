"""circuit.toml, read into frozen objects.

SI units throughout; a tolerance is a fraction. An unknown key, a missing one or a value of the wrong type is refused
with its place in the file.
"""

import tomllib
from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "circuit.toml"


class CircuitError(Exception):
    """circuit.toml cannot be used; the text says where and why."""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every table of the file is: fixed, and without unknown keys."""


class Supply(Facts, frozen=True):
    rail_v: float
    rail_tolerance: float
    board_idle_a: float


class Converter(Facts, frozen=True):
    pin_current: int
    pin_voltage: int
    attenuation_db: int
    linear_min_v: float
    linear_max_v: float
    volt_per_count: float
    offset_v: float
    vref_v: float
    vref_spread_v: float
    inl_counts: float
    inl_left_counts: float
    noise_counts: float
    pin_farad: float
    pin_above_rail_v: float


class Sampling(Facts, frozen=True):
    rate_hz: float
    average_s: float


class Mains(Facts, frozen=True):
    nominal_v: tuple[float, ...]
    tolerance: float
    frequency_hz: tuple[float, ...]


class Clamp(Facts, frozen=True):
    """A current transformer. inside_ohm: the burden that is built in, or None."""

    name: str
    rated_a: float
    turns: float
    burden: str
    nonlinearity: float
    one_piece: float
    phase_deg: float
    phase_band_deg: float
    saturated_a: float
    inside_ohm: float | None = None
    inside_tolerance: float = 0.0


class Adaptor(Facts, frozen=True):
    """A plug-in transformer for a supply of nominal_v: open_v RMS without load at mains_v RMS."""

    name: str
    nominal_v: float
    mains_v: float
    open_v: float
    linearity: float
    phase_deg: float
    phase_band_deg: float


class Isolator(Facts, frozen=True):
    """A voltage transformer that is driven by a current."""

    name: str
    ratio: float
    rated_a: float
    linearity: float
    phase_deg: float
    phase_band_deg: float


class Protection(Facts, frozen=True):
    diode_forward_v: float
    diode_rated_a: float
    diode_leak_a: float
    tvs_clamp_v: float
    tvs_standoff_v: float
    tvs_steady_w: float
    pin_injection_a: float


class Temperature(Facts, frozen=True):
    resistor_per_k: float
    span_k: float


class Link(Facts, frozen=True):
    uart_tx: int
    uart_rx: int
    baud: int


class Jack(Facts, frozen=True):
    """The contact of the clamp's jack."""

    pin_switch: int
    contact_a: float


class Prices(Facts, frozen=True):
    currency: str
    stated: str


class Part(Facts, frozen=True):
    """One part. of: `clamp`, `voltage`, or the name of the option that it belongs to."""

    what: str
    maker: str
    number: str
    of: str
    price: float
    ohm: float | None = None
    farad: float | None = None
    tolerance: float = 0.0
    rated_w: float | None = None


class Circuit(Facts, frozen=True):
    supply: Supply
    converter: Converter
    sampling: Sampling
    mains: Mains
    clamp: tuple[Clamp, ...]
    adaptor: Adaptor
    isolator: Isolator
    protection: Protection
    temperature: Temperature
    link: Link
    jack: Jack
    prices: Prices
    net: dict[str, tuple[str, ...]]
    part: dict[str, Part]

    def ohm(self, reference: str) -> float:
        """Return a resistor's value. Raises CircuitError where there is none of that name."""
        value = self.part[reference].ohm if reference in self.part else None
        if value is None:
            raise CircuitError(f"circuit.toml: part {reference} must be there and have `ohm`")
        return value

    def farad(self, reference: str) -> float:
        """Return a capacitor's value. Raises CircuitError where there is none of that name."""
        value = self.part[reference].farad if reference in self.part else None
        if value is None:
            raise CircuitError(f"circuit.toml: part {reference} must be there and have `farad`")
        return value

    def net_of(self, pin: str) -> str:
        """Return the net that a pin such as `C3.2` is on. Raises CircuitError unless it is on exactly one."""
        found = [name for name, pins in self.net.items() if pin in pins]
        if len(found) != 1:
            raise CircuitError(f"circuit.toml: pin {pin} must be on one net and is on {len(found)}")
        return found[0]

    def tolerance(self, reference: str) -> float:
        return self.part[reference].tolerance


def load_circuit(text: str | None = None) -> Circuit:
    """Return the circuit, from circuit.toml or from its text. Raises CircuitError."""
    try:
        return msgspec.convert(tomllib.loads(SOURCE.read_text() if text is None else text), Circuit)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CircuitError(f"circuit.toml: {error}; nothing was written. Put it right and run make hardware") from error
