"""Checks a release log: one unbroken chain of signed entries, which holds the head that was published elsewhere."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mdms.keyholder.log import EMPTY, Head, LogBroken, verify_entries
from mdms.keyholder.messages import RELEASED, AskedBill, AskedLoad, Entry
from protocol.documents import DocumentError, import_public_key
from protocol.releases import moment

from .verify_release.command import with_values_joined

DONE, BROKEN, UNUSABLE = 0, 1, 2
LONGEST_LINE = 1 << 20


class _Unusable(Exception):
    """Nothing can be checked; the message says why."""


class _PublishedHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: int
    hash: str


class Found:
    """What a log holds, counted as it is read."""

    def __init__(self) -> None:
        self.head = EMPTY
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.unsafe: set[str] = set()
        self.least_k: int | None = None
        self.times: list[int] = []
        self.backwards = 0

    def take(self, entry: Entry, head: Head) -> None:
        """Count one verified entry."""
        kind = "loads" if isinstance(entry.asked, AskedLoad) else "bills"
        if not isinstance(entry.asked, AskedLoad | AskedBill):
            kind = "unverified"
        self.head = head
        self.decisions[kind, entry.decision] += 1
        self.unsafe.update(entry.unsafe)
        self.least_k = entry.k if self.least_k is None else min(self.least_k, entry.k)
        self.backwards += bool(self.times) and entry.time < self.times[-1]
        self.times = [self.times[0], entry.time] if self.times else [entry.time]

    def lines(self) -> Iterator[str]:
        """Say what was found."""
        yield f"{self.head.seq} entries verify, each signed and naming the one before it"
        if self.times:
            yield f"from {moment(self.times[0])} to {moment(self.times[-1])}, k never below {self.least_k}"
        for kind in ("loads", "bills", "unverified"):
            several = {why: count for (what, why), count in sorted(self.decisions.items()) if what == kind}
            if several:
                refused = ", ".join(f"{why} {count}" for why, count in several.items() if why != RELEASED)
                yield f"{kind}: {several.get(RELEASED, 0)} released" + (f"; refused: {refused}" if refused else "")
        if self.unsafe:
            yield f"unsafe settings in force for some entries: {', '.join(sorted(self.unsafe))}"
        if self.backwards:
            yield f"note: the time goes back at {self.backwards} entries"
        yield f'head: {{"seq": {self.head.seq}, "hash": "{self.head.hash}"}}'


def check(path: Path, deployment: str, log_key: str, head: Head | None) -> Found:
    """Verify a log file. Raises LogBroken, _Unusable."""
    try:
        key = import_public_key(log_key)
    except DocumentError as error:
        raise _Unusable(f"log key: {error}") from None
    found = Found()
    holds = head is None or head == EMPTY
    try:
        with path.open("rb") as file:
            for entry, name in verify_entries(iter(lambda: file.readline(LONGEST_LINE), b""), deployment, key):
                found.take(entry, name)
                if head is not None and name.seq == head.seq and name != head:
                    raise LogBroken(f"entry {name.seq}: not the one that was published")
                holds = holds or name == head
    except OSError as error:
        raise _Unusable(f"{path}: {error.strerror}") from None
    if not holds:
        assert head is not None
        raise LogBroken(f"the log ends at entry {found.head.seq}: the published head {head.seq} is not in it")
    return found


def read_head(text: str) -> Head:
    """Return a published head: a JSON file of it, or SEQ:HASH. Raises _Unusable."""
    seq, _, name = text.partition(":")
    if seq.isascii() and seq.isdigit() and len(seq) < 19 and len(name) == 64:
        return Head(int(seq), name)
    try:
        head = msgspec.json.decode(Path(text).read_bytes(), type=_PublishedHead, strict=True)
    except OSError as error:
        raise _Unusable(f"head {text}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Unusable(f'head {text}: neither SEQ:HASH nor a file {{"seq": n, "hash": "..."}}') from None
    return Head(head.seq, head.hash)


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_log",
        description="Check a key holder's release log: every entry signed, none changed, left out or reordered.",
        epilog="Status 0: the log holds. 1: it is broken, and where. 2: nothing could be checked.",
    )
    parser.add_argument("LOG", type=Path, help="the log file, one signed entry a line")
    parser.add_argument("--deployment", required=True, help="the deployment's name")
    parser.add_argument("--log-key", required=True, help="the log's Ed25519 public key, base64url")
    parser.add_argument(
        "--head", help="a head that was published elsewhere, SEQ:HASH or a JSON file: the log must hold it"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a log, say what it holds or where it breaks, and return the exit status."""
    options = make_parser().parse_args(with_values_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        head = read_head(options.head) if options.head else None
        found = check(options.LOG, options.deployment, options.log_key, head)
    except _Unusable as unusable:
        print(f"verify_log: {unusable}", file=sys.stderr)
        return UNUSABLE
    except LogBroken as broken:
        print(f"broken: {broken}", file=sys.stderr)
        return BROKEN
    for line in found.lines():
        print(line)
    if head is None:
        print("note: whether entries behind the head are missing cannot be seen; give --head a published one")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
