"""Prints the figures that the documentation states, each measured now on this machine."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.intake import Ccm

from .apartments import SHARED, BadData, data_file
from .replay_check import check

ROOT = Path(__file__).resolve().parents[1]
CCM_SETS = ("wycheproof/aes_ccm_test.json", "ccm_nist/aes_ccm_nist_rfc3610.json")


def ccm_cases(path: Path) -> Iterator[tuple[str, int, bytes, bytes, bytes, bytes, bytes | None]]:
    """Yield (name, tag bytes, key, nonce, associated data, sealed, plaintext or None where it must be refused)."""
    content: dict[str, Any] = json.loads(path.read_text())
    for group in content.get("testGroups", []):
        for case in group["tests"]:
            key, nonce, aad, sealed, plain = (
                bytes.fromhex(text)
                for text in (case["key"], case["iv"], case["aad"], case["ct"] + case["tag"], case["msg"])
            )
            yield (
                f"tcId {case['tcId']}",
                group["tagSize"] // 8,
                key,
                nonce,
                aad,
                sealed,
                (plain if case["result"] == "valid" else None),
            )
    for case in content.get("vectors", []):
        key, nonce, aad, sealed = (bytes.fromhex(case[name]) for name in ("key", "nonce", "aad", "ct_tag"))
        expected = bytes.fromhex(case["pt"]) if case["result"] == "valid" else None
        yield case["name"], case["tag_len"], key, nonce, aad, sealed, expected


def keeps_rule(rule: dict[str, Any]) -> bool:
    """Say whether the concentrator's CCM takes or refuses a combination of lengths as its set demands."""
    lengths = (bytes(rule[name]) for name in ("nonce_len", "msg_len", "aad_len"))
    try:
        Ccm(rule["tag_len"]).seal(bytes(16), *lengths)
    except ValueError:
        return not rule["ok"]
    return bool(rule["ok"])


def is_right(tag_bytes: int, key: bytes, nonce: bytes, aad: bytes, sealed: bytes, plain: bytes | None) -> bool:
    """Say whether the concentrator's CCM treats a case as its set demands."""
    try:
        ccm = Ccm(tag_bytes)
        opened = ccm.open(key, nonce, sealed, aad)
    except ValueError:
        return plain is None
    return plain == opened and ccm.seal(key, nonce, opened, aad) == sealed


def concentrator_vectors(folder: Path) -> bool:
    """Run both official sets through the concentrator's CCM, all three key lengths."""
    wrong = 0
    for name in CCM_SETS:
        results = [is_right(*case[1:]) for case in ccm_cases(folder / name)]
        rules = json.loads((folder / name).read_text()).get("length_rules", [])
        results += [keeps_rule(rule) for rule in rules]
        wrong += results.count(False)
        click.echo(f"{name}: {results.count(True)} right, {results.count(False)} wrong")
    return wrong == 0


def firmware_vectors(folder: Path) -> bool:
    """Run the official sets through the firmware's CCM and HMAC under MicroPython."""
    micropython = Path(sys.prefix) / "bin" / "micropython"
    command = [str(micropython), "-X", "heapsize=64M", "tests/micropython/vectors.py", str(folder)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0  # noqa: S603 - our own files


def apartments(folder: Path, data: Path) -> bool:
    """Replay one day of the ten apartments with a 3072-bit key: loads of ten released, of eleven refused."""
    readings = folder / "day.csv"
    with readings.open("w") as file:
        command = [sys.executable, "-m", "scripts.apartments", "--data", str(data)]
        subprocess.run(command, cwd=ROOT, stdout=file, check=True)  # noqa: S603 - our own module
    return all(_day(readings, folder / f"k{k}", k) for k in (10, 11))


def _day(readings: Path, out: Path, k: int) -> bool:
    began = time.monotonic()
    command = [sys.executable, "-m", "scripts.replay", "--readings", str(readings), "--out", str(out)]
    done = subprocess.run([*command, "--min-contributors", str(k)], cwd=ROOT, check=False)  # noqa: S603
    seconds = time.monotonic() - began
    if done.returncode:
        return False
    result = check(readings, out)
    with (out / "loads.csv").open(newline="") as file:
        reasons = {row["status"] for row in csv.DictReader(file)}
    click.echo(
        f"--min-contributors {k}: {result.rows} readings in {seconds:.0f} s, {result.loads_released} loads released,"
        f" {result.loads_withheld} withheld ({', '.join(sorted(reasons))}), {len(result.differences)} differences"
    )
    expected = {"released"} if k == 10 else {"too_few_contributors"}
    return not result.differences and reasons == expected


@click.command()
@click.option("--skip-replay", is_flag=True, help="Only the vectors: seconds instead of minutes.")
def main(skip_replay: bool) -> None:
    """Print the official vectors' counts and the replay of ten real apartments. Exit 1 where anything is wrong."""
    vectors = Path(os.environ.get("HUSHMETER_SHARED", SHARED)) / "vectors"
    if not vectors.is_dir() or not data_file().exists():
        click.echo(f"figures: needs the data and vectors in {vectors.parent}: set HUSHMETER_SHARED to it", err=True)
        sys.exit(2)
    click.echo("AES-CCM and HMAC of the firmware, on MicroPython:")
    sound = firmware_vectors(vectors.resolve())
    click.echo("AES-CCM of the concentrator:")
    sound &= concentrator_vectors(vectors)
    if not skip_replay:
        click.echo("one day of ten real apartments, 3072-bit key:")
        try:
            with tempfile.TemporaryDirectory(prefix="hushmeter-") as folder:
                sound &= apartments(Path(folder), data_file())
        except (BadData, subprocess.CalledProcessError) as error:
            click.echo(f"figures: {error}", err=True)
            sound = False
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
