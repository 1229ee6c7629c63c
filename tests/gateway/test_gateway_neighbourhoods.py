"""Several neighbourhoods at one concentrator, their meters on one line: each has its own sums, under its own key."""

import asyncio

import msgspec
import pytest
from gateway_bench import DAY, DECRYPTOR, GRACE, INTERVAL, NAME, START, WINDOW, Concentrator, Meter, built, name_of
from service_bench import Line, served

from gateway.holdings import enrolled
from gateway.roll import first_standing
from paillier import ENERGY_SLOTS, from_base64url
from paillier.private.decryption import Decryptor
from paillier.private.key import generate_keypair
from protocol import documents, reports, rosters

OTHER = generate_keypair(512, unsafe_small_key=True)
DECRYPTORS = {NAME: (DECRYPTOR, None), "south": (Decryptor(OTHER), OTHER.public)}


class Resident(Meter):
    """A meter of the second neighbourhood."""

    def record(self):
        return msgspec.structs.replace(super().record(), neighbourhood="south")


class TwoStreets(Concentrator):
    """A concentrator that serves a second neighbourhood with a key and a zone of its own."""

    def __init__(self, folder, meters, **settings):
        self.residents = [meter for meter in meters if isinstance(meter, Resident)]
        super().__init__(folder, [meter for meter in meters if meter not in self.residents], **settings)
        with self.ledger.transaction():
            for meter in self.residents:
                enrolled.add(self.ledger, meter.record(), *first_standing(meter.record(), self.south))

    def start(self):
        super().start()
        roster = msgspec.structs.replace(
            self.roster(),
            neighbourhood="south",
            zone="Asia/Kolkata",  # whose windows begin at half past
            paillier_key=OTHER.public.fingerprint,
            paillier_n=OTHER.public.to_jwk()["n"],
            members=[rosters.Member(meter.pseudonym, meter.since) for meter in self.residents],
        )
        self.south = built(documents.canonical_json(roster), self.settings["accumulator"])
        self.reception._neighbourhoods["south"] = self.south


def opened(neighbourhood, text):
    """(import_mwh, export_mwh) of what left, opened with the neighbourhood's own key."""
    decryptor, key = DECRYPTORS[neighbourhood]
    return ENERGY_SLOTS.unpack(decryptor.decrypt(from_base64url(key or decryptor.public_key, text)))


@pytest.fixture(params=["strict", "fold"])
def two(request, folder):
    meters = [(Resident if index % 2 else Meter)(index) for index in range(6)]
    (folder / "two").mkdir()
    gateway = TwoStreets(folder / "two", meters, accumulator=request.param)
    yield gateway, meters
    gateway.stop()


def test_frames_of_two_neighbourhoods_in_one_batch_enter_each_its_own_sums(two):
    gateway, meters = two
    for place in range(2):
        start = START + place * INTERVAL
        frames = [meter.reading(start, 8**index, index) for index, meter in enumerate(meters)]
        answers = gateway.take(frames, START + 2 * INTERVAL)
        for meter, frame in zip(meters, frames, strict=True):
            assert meter.verdicts(answers) == {name_of(frame): "stored"}
        gateway.restart()
    gateway.close(START + 2 * INTERVAL + GRACE)
    loads = gateway.reports(reports.INTERVAL_LOAD)
    assert sorted((load.neighbourhood, load.interval_start) for load in loads) == [
        (name, START + place * INTERVAL) for name in ("north", "south") for place in range(2)
    ]
    for load in loads:
        own = range(0, 6, 2) if load.neighbourhood == NAME else range(1, 6, 2)
        assert opened(load.neighbourhood, load.ciphertext) == (sum(8**i for i in own), sum(own))


def test_each_neighbourhoods_windows_are_of_its_own_zone_and_key(two):
    gateway, meters = two
    for place in range(2 * WINDOW // INTERVAL):
        frames = [meter.reading(START + place * INTERVAL, 1 + index) for index, meter in enumerate(meters)]
        gateway.take(frames, START + (place + 1) * INTERVAL)
    gateway.close(
        START + 2 * WINDOW + 8 * DAY
    )  # the accepted delay of the second street's first window, which is partial
    for index, meter in enumerate(meters):
        south = isinstance(meter, Resident)
        windows = [window for window in gateway.windows(meter) if window.energy is not None]
        assert windows
        assert all(window.window_start % WINDOW == (1800 if south else 0) for window in windows[1:])
        total = sum(opened("south" if south else NAME, window.energy)[0] for window in windows)
        covered = sum(window.present for window in windows)
        assert total == covered * (1 + index)


def test_meters_of_two_neighbourhoods_are_answered_on_one_connection(two):
    gateway, meters = two
    frames = {meter: [meter.reading(START + i * INTERVAL, 5) for i in range(3)] for meter in meters}

    async def talk(port):
        line = await Line.open(meters[0], port)
        await line.send(*[frame for mixed in zip(*frames.values(), strict=True) for frame in mixed])
        async with asyncio.timeout(60):
            while any(len(meter.verdicts(line.answers)) < 3 for meter in meters):
                await line.hear()
        return [set(meter.verdicts(line.answers).values()) for meter in meters]

    assert asyncio.run(served(gateway, talk)) == [{"stored"}] * 6
