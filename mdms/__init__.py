"""The meter data management system: the utility's side. README.md says which part does what and who trusts whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from .config import MdmsConfig


def create_app(config: MdmsConfig) -> Flask:
    """Return the web application; raises errors.CannotStart with one line for the operator."""
    # Imported here, so that the key holder's process never loads a web framework.
    from .web import create_app as create  # noqa: PLC0415

    return create(config)
