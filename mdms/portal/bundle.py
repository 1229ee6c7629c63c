"""The scripts that browsers get, each with its SHA-256, and one hash for all of them that can be published elsewhere.

A bundle's hash is that of its listing, byte for byte as `sha256sum` prints it for the files sorted by name. So anyone
computes it with what every Unix has, without this program.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).resolve().parents[1] / "static"


@dataclass(frozen=True, slots=True)
class Bundle:
    """(name below static/, hex SHA-256) of every script, sorted by name."""

    scripts: tuple[tuple[str, str], ...]

    def listing(self) -> str:
        """Return a line for each script, as `sha256sum` writes them and `sha256sum -c` reads them."""
        return "".join(f"{digest}  {name}\n" for name, digest in self.scripts)

    @property
    def hash(self) -> str:
        """The hex SHA-256 of the listing."""
        return hashlib.sha256(self.listing().encode()).hexdigest()


def read_bundle(folder: Path = STATIC) -> Bundle:
    """Return the bundle of every *.js below a folder."""
    scripts = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.js")}
    return Bundle(tuple((name, hashlib.sha256(scripts[name].read_bytes()).hexdigest()) for name in sorted(scripts)))
