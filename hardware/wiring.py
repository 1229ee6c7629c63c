"""The list of connections, as a page: for who wires by list and ticks off."""

from hardware.circuit import Circuit

SPOKEN = {"R1": "R1A or R1B"}


def wiring(circuit: Circuit) -> str:
    """Return the page, Markdown."""
    lines = [
        "# Wiring table",
        "",
        "Made from `circuit.toml` by `make hardware`: change it there. Every line is one net: all of its pins are",
        "connected with each other and with nothing else. Diodes: the cathode is the end with the ring. J1 and J2 are",
        "the sockets of the clamp and the adaptor, J3 the terminals of the link, U1 the development board by the names",
        "that are printed on it.",
        "",
        "| net | pins |",
        "|---|---|",
    ]
    for name, pins in circuit.net.items():
        lines.append(f"| {name} | {', '.join(spoken(pin) for pin in pins)} |")
    return "\n".join(lines) + "\n"


def spoken(pin: str) -> str:
    part, _, end = pin.partition(".")
    return f"{SPOKEN.get(part, part)} {end}"
