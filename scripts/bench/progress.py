"""How every bench says where it stands, and how it ends when it cannot go on."""

import sys
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(*, draws_itself: bool = True) -> Progress:
    """Return a bar on stderr; on no terminal it shows nothing.

    One that draws itself has a thread, which takes turns with what is timed in this process.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        auto_refresh=draws_itself,
        refresh_per_second=2,
    )


def stop(bench: str, message: str, status: int) -> NoReturn:
    """End with one clear line."""
    click.echo(f"{bench}: {message}", err=True)
    sys.exit(status)
