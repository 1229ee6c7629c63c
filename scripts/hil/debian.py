"""Fetches packages of a newer Debian suite through a private view of it: nothing is installed, apt's own is untouched.

The archive's address and its keyring are those of the machine's own apt configuration; apt verifies what it fetches.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .needs import Missing

SOURCES = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each stanza of a file in deb822 form."""
    for block in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.M)):
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", block, re.M))
        if fields:
            yield {name.lower(): value for name, value in fields.items()}


def archive(sources: Path = SOURCES) -> tuple[str, str]:
    """Return (address, keyring) of the Debian archive that the machine's apt uses; raises Missing."""
    for path in sorted(sources.glob("sources.list.d/*.sources")):
        for fields in stanzas(path.read_text()):
            if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
                uri = fields.get("uris", "").split()
                if uri and re.search(r"/debian/?$", uri[0]):
                    return uri[0], fields.get("signed-by") or KEYRING
    for path in (sources / "sources.list", *sorted(sources.glob("sources.list.d/*.list"))):
        for uri in re.findall(r"^deb (?:\[.*?\] )?(\S+/debian/?) ", path.read_text() if path.exists() else "", re.M):
            return uri, KEYRING
    raise Missing("apt knows no Debian archive here, from which MicroPython's sources come: see sources.list(5)")


class View:
    """An apt with lists, cache and sources of its own under ``folder``."""

    def __init__(self, folder: Path, suite: str) -> None:
        self._folder = folder
        self._suite = suite
        for place in ("lists/partial", "cache/archives/partial", "sources"):
            (folder / place).mkdir(parents=True)
        uri, keyring = archive()
        (folder / "sources" / "suite.sources").write_text(
            f"Types: deb deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {keyring}\n"
        )
        (folder / "apt.conf").write_text(
            f'Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "{folder}/sources";\n'
            f'Dir::State::Lists "{folder}/lists"; Dir::Cache "{folder}/cache";\n'
            # the view belongs to whoever builds, which need not be root or apt's own user
            f'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache ""; Debug::NoLocking "true";\n'
            f'APT::Sandbox::User ""; Acquire::Retries "3";\n'
        )
        self._apt("update")

    def sources(self, *names: str) -> None:
        """Fetch source packages into the folder; raises Missing."""
        self._apt("source", "--download-only", *names)

    def binaries(self, *names: str) -> None:
        """Fetch binary packages into the folder; raises Missing."""
        self._apt("download", *names)

    def _apt(self, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - apt with names of ours
            ["apt-get", "-qq", *arguments],  # noqa: S607 - the machine's own
            cwd=self._folder,
            env=os.environ | {"APT_CONFIG": str(self._folder / "apt.conf")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise Missing(
                f"Debian's {self._suite} could not be read by `apt-get {' '.join(arguments)}`: {reason}; "
                "is there a network? then run it again"
            )
