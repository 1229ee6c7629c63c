"""The vectors' files: their names, and who makes what stands in them."""

import json
from collections.abc import Callable, Iterator

from .blocks import Case
from .documents import documents_vectors
from .envelopes import envelope_vectors
from .frames import frames_vectors
from .keychain import keychain_vectors
from .link import link_vectors
from .logins import login_vectors
from .rows import rows_vectors
from .windows import windows_vectors

FILES: dict[str, Callable[[], Case]] = {
    "documents.json": documents_vectors,
    "envelope.json": envelope_vectors,
    "frames.json": frames_vectors,
    "keychain.json": keychain_vectors,
    "link.json": link_vectors,
    "logins.json": login_vectors,
    "rows.json": rows_vectors,
    "windows.json": windows_vectors,
}


def render() -> Iterator[tuple[str, str]]:
    """Yield every file's name and text."""
    for name, make in FILES.items():
        yield name, json.dumps(make(), indent=1, ensure_ascii=True) + "\n"
