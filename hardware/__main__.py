"""`python -m hardware`: the arithmetic, and the pictures and pages that are made from circuit.toml."""

import sys

import click

from hardware.analog.report import report
from hardware.analog.rules import broken
from hardware.circuit import Circuit, CircuitError, load_circuit
from hardware.products import products, stale, write


@click.group()
def main() -> None:
    """The meter's circuit: its arithmetic, pictures and bill of materials, from hardware/circuit.toml."""


@main.command()
def analog() -> None:
    """Print ranges, resolution, filters, protection, the error budget and the rules. Status 1 if a rule is broken."""
    circuit = read()
    click.echo(report(circuit), nl=False)
    sys.exit(1 if broken(circuit) else 0)


@main.command()
@click.option("--check", is_flag=True, help="write nothing; status 1 if a file differs from what the circuit makes")
def draw(check: bool) -> None:
    """Make the pictures, the bill of materials, the wiring table and the page of arithmetic."""
    made = products(read())
    if check:
        old = stale(made)
        for name in old:
            click.echo(f"hardware/{name} is not what circuit.toml makes: run make hardware", err=True)
        sys.exit(1 if old else 0)
    changed = write(made)
    click.echo(f"{len(made)} files made, {len(changed)} changed" + "".join(f"\n  hardware/{name}" for name in changed))


def read() -> Circuit:
    try:
        return load_circuit()
    except CircuitError as error:
        click.echo(f"hardware: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
