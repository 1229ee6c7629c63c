"""The bill of materials, as a page: two builds, and the parts of the other options."""

from hardware.circuit import Circuit, Part
from hardware.values import value_text

BASE, WITH_VOLTAGE = "clamp", "voltage"


def bill(circuit: Circuit) -> str:
    """Return the page, Markdown."""
    money = circuit.prices.currency
    lines = [
        "# Bill of materials",
        "",
        "Made from `circuit.toml` by `make hardware`: change it there.",
        "",
        f"Prices are **estimates in {money}, {circuit.prices.stated}**, for single pieces, without postage: no shop",
        "was asked. Any part of the same value and rating will do; the numbers say exactly what is meant.",
        "",
        "| budget | parts | estimate |",
        "|---|---|---|",
    ]
    small, large = total(circuit, BASE), total(circuit, BASE) + total(circuit, WITH_VOLTAGE)
    counts = [len(chosen(circuit, BASE)), len(chosen(circuit, BASE)) + len(chosen(circuit, WITH_VOLTAGE))]
    lines.append(f"| clamp only: apparent power, an estimate | {counts[0]} | {small:.2f} {money} |")
    lines.append(f"| clamp and voltage: real power | {counts[1]} | {large:.2f} {money} |")
    lines += table(circuit, BASE, "Clamp only")
    lines += table(circuit, WITH_VOLTAGE, "Clamp and voltage: besides")
    others = dict.fromkeys(part.of for part in circuit.part.values() if part.of not in (BASE, WITH_VOLTAGE))
    for option in others:
        lines += table(circuit, option, f"Option: {option}")
    return "\n".join(lines) + "\n"


def chosen(circuit: Circuit, of: str) -> dict[str, Part]:
    return {reference: part for reference, part in circuit.part.items() if part.of == of}


def total(circuit: Circuit, of: str) -> float:
    return sum(part.price for part in chosen(circuit, of).values())


def table(circuit: Circuit, of: str, heading: str) -> list[str]:
    """Return one table: parts of the same number share a line."""
    same: dict[tuple[str, str], list[str]] = {}
    for reference, part in chosen(circuit, of).items():
        same.setdefault((part.maker, part.number), []).append(reference)
    lines = [
        "",
        f"## {heading}",
        "",
        "| parts | pieces | value | what | maker | number | each |",
        "|---|---|---|---|---|---|---|",
    ]
    for (maker, number), references in same.items():
        part = circuit.part[references[0]]
        value = "" if value_text(part) == number else value_text(part)
        what = "; ".join(dict.fromkeys(circuit.part[reference].what for reference in references))
        cells = (", ".join(references), str(len(references)), value, what, maker, number, f"{part.price:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines
