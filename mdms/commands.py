"""What the commands share: a configuration, a store that is closed, one line where something cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .config import MdmsConfig
from .errors import CannotStart

if TYPE_CHECKING:
    from .store import Store


def config_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command its ``path`` (`--config`), and have it end with one line where it raises CannotStart."""

    @wraps(function)
    def started(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except CannotStart as error:
            click.echo(f"mdms: {error}", err=True)
            sys.exit(error.exit_code)

    option = click.option(
        "--config",
        "path",
        required=True,
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The TOML file that configures this process; mdms/README.md explains its keys.",
    )
    return option(started)


def open_store(config: MdmsConfig) -> AbstractContextManager[Store]:
    """Return the store of a command, closed when the command is done."""
    from .store import Store  # noqa: PLC0415 - the key holder's process never loads it

    return closing(Store(config.database))
