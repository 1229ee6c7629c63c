"""`make bench-billing`: has a key holder open and prove a month of many customers, and prints how long it took."""

from __future__ import annotations

import logging

import click
import phe
import structlog
from rich import box
from rich.table import Table as Grid

from paillier.keys import LEAST_BITS, MOST_BITS
from paillier.private.key import generate_keypair

from ..bench.figures import Figure
from ..bench.machine import this_machine
from ..bench.progress import progress_bar, stop
from ..bench.say import lines_of_figures
from ..bench_gateway.say import wide_console
from .measure import Measurement, WrongAnswer, measure
from .street import WINDOWS, Street
from .with_phe import seconds_of_phe

FIGURE_BITS = 3072
FIGURE_CUSTOMERS = 1000
FIGURE_CORES = 2
WANTED_S = 60.0
LEAST_UNSAFE_BITS = 512
HEADINGS = ("bills", "signatures", "sums", "requests", "s as it ran", "CPU s", "CPU ms a bill", "phe s (estimate)")
NOTES = (
    "as it ran: from each request's bytes to its answer's, two connections at once; where others use the machine too,"
    " longer than the CPU time says. Making requests and checking answers is left out, and so are the worker's database"
    " and the socket.",
    "CPU: of the key holder and its verifying processes together. The half of it is what two cores take that have"
    " nothing else to do, if neither ever waits for the other.",
    "phe: additions and decryptions alone, on one core, without signatures and proofs; an estimate, multiplied up from"
    " {sample} customers.",
)


BENCH = "bench-billing"


@click.command()
@click.option("--customers", type=click.IntRange(1), default=FIGURE_CUSTOMERS, show_default=True, help="Bills.")
@click.option("--phe-customers", type=click.IntRange(1), default=5, show_default=True, help="Of phe's sample.")
@click.option("--key-bits", type=int, default=FIGURE_BITS, show_default=True, help="Length of the Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
def main(customers: int, phe_customers: int, key_bits: int, unsafe_small_key: bool) -> None:
    """Measure a billing run: 240 signed windows of each customer in three bands, opened, proved and committed.

    Every answer is compared with what was encrypted. A figure that the run does not reach is printed as such; the
    status is 0. Exit 1 where an answer is wrong.
    """
    if not (LEAST_UNSAFE_BITS if unsafe_small_key else LEAST_BITS) <= key_bits <= MOST_BITS or key_bits % 2:
        stop(
            "bench-billing", f"--key-bits {key_bits}: a key has an even number of bits, {LEAST_BITS} to {MOST_BITS}", 2
        )
    # The key holder logs each decision; a bench has nobody who reads that.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    key = generate_keypair(key_bits, unsafe_small_key=unsafe_small_key)
    street = Street(key.public, customers)
    with progress_bar() as bar:
        task = bar.add_task("bills", total=customers)
        try:
            measured = measure(key, street, lambda count: bar.advance(task, count))
        except WrongAnswer as error:
            bar.stop()
            stop(BENCH, str(error), 1)
    show(measured, key_bits, seconds_of_phe(key, street, customers, phe_customers), phe_customers)


def show(measured: Measurement, bits: int, phe_s: float, sample: int) -> None:
    """Print a run."""
    console = wide_console()
    console.print(str(this_machine([("phe", phe.__version__)])), soft_wrap=True, highlight=False)
    title = f"bills of {WINDOWS} windows in three sums, {bits}-bit key"
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS:
        grid.add_column(heading, justify="right")
    counts = (measured.bills, measured.windows, measured.sums, measured.requests)
    times = (measured.seconds, measured.cpu_s, measured.cpu_s / measured.bills * 1000, phe_s)
    grid.add_row(*(f"{count:,}" for count in counts), *(f"{each:,.1f}" for each in times))
    console.print(grid)
    for note in NOTES:
        console.print("- " + note.format(sample=sample), highlight=False, markup=False)
    console.print()
    for line in lines_of_figures(figures(measured, bits)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def figures(measured: Measurement, bits: int) -> list[Figure]:
    """Return the figures; not measured unless of a key of full length and of as many customers."""
    whole = bits == FIGURE_BITS and measured.bills == FIGURE_CUSTOMERS
    says = f"{FIGURE_CUSTOMERS:,} bills of a month, signatures and proofs included"
    shared_s = measured.cpu_s / FIGURE_CORES
    return [
        Figure(f"{says}, as it ran", WANTED_S, measured.seconds if whole else None, "s", True),
        Figure(f"{says}, CPU time for each of two cores", WANTED_S, shared_s if whole else None, "s", True),
    ]


if __name__ == "__main__":
    main()
