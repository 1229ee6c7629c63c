"""The street of the benchmark: meters whose frames are sealed beforehand, and the files that the daemon starts with.

Keys come from the real keychain and frames from the real codec; what costs little here is the meters' side alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from Crypto.PublicKey.ECC import EccKey

from gateway.enrolment import EnrolmentRecord
from paillier import PublicKey
from protocol import keychain, wire
from protocol.documents import generate_signing_key, public_key_bytes, to_base64url
from protocol.reports import PSEUDONYM_BYTES
from protocol.rosters import Member, Roster, sign_roster

from ..deployment import toml, write_private
from ..sealing_meter import SealingMeter

NAME = "street"
DEPLOYMENT = "bench"
HOST = "127.0.0.1"
START = 1_772_323_200  # 2026-03-01T00:00Z, the start of a window
RATING_W = 69_000
WINDOW_S = 3 * 3600


class Meter(SealingMeter):
    """One meter: it seals its readings in order, and opens the ACKs that are for it."""

    def __init__(self, number: int, interval_s: int) -> None:
        super().__init__(
            title=b"HSM" + number.to_bytes(5, "big"),
            pseudonym=to_base64url(secrets.token_bytes(PSEUDONYM_BYTES)),
            root=secrets.token_bytes(keychain.KEY_BYTES),
            salt=secrets.token_bytes(wire.SALT_BYTES),
            start=START,
        )
        self._interval_s = interval_s
        self._registers = [0, 0]
        self._sealed = 0

    def record(self) -> EnrolmentRecord:
        """Return what the concentrator is told of it."""
        return self.record_of(NAME, START)

    def seal(self) -> bytes:
        """Return the next interval's reading as it goes on the line; its counter is the interval's place."""
        start = START + self._sealed * self._interval_s
        end = start + self._interval_s
        most = RATING_W * self._interval_s * 1000 // 3600
        energies = (secrets.randbelow(most), secrets.randbelow(most // 10))
        for slot, energy in enumerate(energies):
            self._registers[slot] += energy
        number = start // self._interval_s
        reading = wire.Reading(
            1, number, end, self._interval_s, energies[0], energies[1], self._registers[0], self._registers[1], 0
        )
        frame = self.seal_frame(wire.READING, wire.pack_reading(reading), keychain.epoch_of(end), self._sealed)
        self._sealed += 1
        return bytes(wire.encode_link(frame))


class Enrolled(Protocol):
    """What the daemon's files say of a meter."""

    title: bytes
    pseudonym: str

    def record(self) -> EnrolmentRecord:
        """Return what the concentrator is told of it."""


@dataclass(frozen=True)
class Street:
    """Meters and their daemon's folder."""

    meters: Sequence[Enrolled]
    interval_s: int
    config: Path
    ledger: Path


def set_up(
    folder: Path,
    key: PublicKey,
    meters: Sequence[Enrolled],
    interval_s: int,
    settings: dict[str, object],
    mdms_port: int,
) -> Street:
    """Write identity, roster, enrolment records and configuration; ``settings`` go into the configuration."""
    identity, operator = generate_signing_key(), generate_signing_key()
    for name in ("rosters", "enrolment"):
        (folder / name).mkdir(parents=True)
    write_private(folder / "identity.pem", identity.export_key(format="PEM").encode())
    roster = Roster(
        neighbourhood=NAME,
        version=1,
        valid_from=START,
        zone="UTC",
        interval_s=interval_s,
        rating_w=RATING_W,
        concentrator=_public(identity),
        paillier_key=key.fingerprint,
        paillier_n=key.to_jwk()["n"],
        members=[Member(meter.pseudonym, START) for meter in meters],
    )
    document = sign_roster(operator, DEPLOYMENT, roster)
    (folder / "rosters" / f"{NAME}.json").write_bytes(msgspec.json.encode(document))
    for meter in meters:
        (folder / "enrolment" / f"{meter.title.hex()}.json").write_bytes(msgspec.json.encode(meter.record()))
    config = folder / "gateway.toml"
    values = {
        "deployment": DEPLOYMENT,
        "operator_key": _public(operator),
        "identity_key": "identity.pem",
        "rosters": "rosters",
        "enrolment": "enrolment",
        "ledger": "ledger.sqlite3",
        "listen": f"{HOST}:0",
        "mdms_url": f"http://{HOST}:{mdms_port}",
        "max_connections": len(meters) + 16,
        "min_contributors": 2,
        "unsafe_simulated_clock": True,
        **settings,
    }
    write_private(config, toml(values))
    return Street(meters, interval_s, config, folder / "ledger.sqlite3")


def _public(key: EccKey) -> str:
    return to_base64url(public_key_bytes(key))
