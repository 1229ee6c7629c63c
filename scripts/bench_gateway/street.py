"""The street of the benchmark: meters whose frames are sealed beforehand, and the files that the daemon starts with.

Keys come from the real keychain and frames from the real codec; what costs little here is the meters' side alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from Crypto.PublicKey.ECC import EccKey

from gateway.enrolment import EnrolmentRecord
from gateway.intake import CCM
from paillier import PublicKey
from protocol import keychain, wire
from protocol.documents import generate_signing_key, public_key_bytes, to_base64url
from protocol.reports import PSEUDONYM_BYTES
from protocol.rosters import Member, Roster, sign_roster

from ..deployment import toml, write_private

NAME = "street"
DEPLOYMENT = "bench"
HOST = "127.0.0.1"
START = 1_772_323_200  # 2026-03-01T00:00Z, the start of a window
RATING_W = 69_000
WINDOW_S = 3 * 3600


class Meter:
    """One meter: it seals its readings in order, and opens the ACKs that are for it."""

    def __init__(self, number: int, interval_s: int) -> None:
        root = secrets.token_bytes(keychain.KEY_BYTES)
        self.title = b"HSM" + number.to_bytes(5, "big")
        self.pseudonym = to_base64url(secrets.token_bytes(PSEUDONYM_BYTES))
        self._interval_s = interval_s
        self._chain = keychain.Chain(keychain.epoch_of(START), keychain.first_chain(root))
        self._clock_keys = keychain.clock_keys(root)
        self._keys: dict[tuple[int, bytes], bytes] = {}
        self._salt = secrets.token_bytes(wire.SALT_BYTES)
        self._registers = [0, 0]
        self._sealed = 0

    def record(self) -> EnrolmentRecord:
        """Return what the concentrator is told of it."""
        hello_key, time_key = self._clock_keys
        return EnrolmentRecord(
            system_title=self.title.hex(),
            pseudonym=self.pseudonym,
            neighbourhood=NAME,
            since=START,
            series=1,
            first_import_mwh=0,
            first_export_mwh=0,
            epoch=self._chain.epoch,
            hop_chain=self._chain.value.hex(),
            hello_key=hello_key.hex(),
            time_key=time_key.hex(),
        )

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
        header = wire.Header(wire.READING, self.title, keychain.epoch_of(end), self._salt, self._sealed)
        self._sealed += 1
        key = self._key(header.epoch, keychain.UP)
        return bytes(wire.encode_link(wire.seal_uplink(CCM, key, header, wire.pack_reading(reading))))

    def verdicts(self, frame: bytes) -> Iterator[tuple[int, int]]:
        """Yield (counter, verdict) of an ACK; raises wire.Forged or wire.Malformed for one that is not for it."""
        header = wire.parse_header(frame)
        if header.type != wire.ACK or header.system_title != self.title:
            raise wire.Malformed("not an ACK of this meter")
        body = wire.open_downlink(CCM, self._key(header.epoch, keychain.DOWN), frame)[1]
        for item in wire.parse_ack(body):
            for counter in range(item.first, item.first + item.count):
                yield counter, item.verdict

    def _key(self, epoch: int, label: bytes) -> bytes:
        key = self._keys.get((epoch, label))
        if key is None:
            key = self._keys[epoch, label] = self._chain.at(epoch).key(label)
        return key


@dataclass(frozen=True)
class Street:
    """Meters and their daemon's folder."""

    meters: list[Meter]
    interval_s: int
    config: Path
    ledger: Path


def set_up(
    folder: Path, key: PublicKey, meters: list[Meter], interval_s: int, settings: dict[str, object], mdms_port: int
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
