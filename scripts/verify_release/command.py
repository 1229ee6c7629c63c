"""The command: its options, what it says, its exit status."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol.releases import BILLS, LOADS

from .checking import check
from .outcome import DONE, UNUSABLE, WRONG, Findings, Options, Unusable, Wrong

KEY_OPTIONS = ("--operator-key", "--log-key")


def plain(text: str) -> str:
    """Return a text as it may be shown: what a terminal or a reader would take for something else is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def summary(findings: Findings, seconds: float) -> str:
    """Return what is printed when nothing is wrong."""
    said = (
        f"deployment {plain(findings.deployment)}: {findings.loads} {LOADS} and {findings.bills} {BILLS} follow from "
        f"their ciphertexts\n{findings.batches} release batches, {findings.reports} reports, {findings.rosters} "
        f"rosters, {findings.keys} Paillier keys, checked in {seconds:.1f} s\n"
    )
    return said + "".join(f"note: {plain(remark)}\n" for remark in findings.remarks)


class ProgressLine:
    """One line on a terminal that says what is being checked; nothing elsewhere."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, text: str) -> None:
        if self._shows and (not text or time.monotonic() >= self._next):
            self._next = time.monotonic() + 0.1
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_release",
        description="Check a publication: whether every released sum follows from the reports that it names.",
        epilog="Status 0: everything was checked. 1: something is wrong, and named. 2: nothing could be checked.",
    )
    parser.add_argument("DIR", type=Path, help="the publication's folder")
    parser.add_argument(
        "--operator-key", required=True, help="the operator's public key, or its fingerprint, base64url"
    )
    parser.add_argument("--log-key", required=True, help="the same of the key that signs the release log")
    parser.add_argument(
        "--rosters", type=Path, metavar="FOLDER", help="rosters that you got elsewhere, instead of those in DIR"
    )
    parser.add_argument(
        "--every-root", action="store_true", help="check each sum's own root alone, too: some 30 ms a sum"
    )
    parser.add_argument("--unsafe-small-key", action="store_true", help="accept less than 2048 bits: for tests only")
    return parser


def with_values_joined(arguments: Sequence[str], options: Sequence[str] = KEY_OPTIONS) -> list[str]:
    """Return the arguments with each key joined to its option by "=".

    One base64url text in 64 begins with a hyphen, and argparse would take it for another option.
    """
    joined: list[str] = []
    rest = iter(arguments)
    for each in rest:
        value = next(rest, None) if each in options else None
        joined.append(each if value is None else f"{each}={value}")
    return joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line says; return the exit status."""
    given: Any = make_parser().parse_args(with_values_joined(sys.argv[1:] if arguments is None else arguments))
    options = Options(
        given.DIR, given.operator_key, given.log_key, given.every_root, given.unsafe_small_key, given.rosters
    )
    progress = ProgressLine()
    start = time.monotonic()
    try:
        findings = check(options, progress)
    except Wrong as wrong:
        return _end(progress, WRONG, f"wrong: {wrong}")
    except Unusable as unusable:
        return _end(progress, UNUSABLE, f"verify_release: {unusable}")
    except Exception as error:  # noqa: BLE001 - whatever a folder provokes, it is no verdict
        return _end(progress, UNUSABLE, f"verify_release: {type(error).__name__}: {error}")
    print(summary(findings, time.monotonic() - start), end="")
    return DONE


def _end(progress: ProgressLine, status: int, message: str) -> int:
    progress("")
    print(plain(message), file=sys.stderr)
    return status
