"""A street whose Paillier key changes while it runs; registers testify: what a window says is compared with them."""

from gateway_bench import GRACE, INTERVAL, PRIVATE, START, WINDOW, K, Meter
from roll_bench import Pole

from paillier import ENERGY_SLOTS, from_base64url
from paillier.private.decryption import Decryptor
from paillier.private.key import generate_keypair

SECOND = generate_keypair(512, unsafe_small_key=True)
THIRD = generate_keypair(576, unsafe_small_key=True)
CHANGE = START + 2 * WINDOW
END = START + 4 * WINDOW
DECRYPTORS = {key.public.fingerprint: Decryptor(key) for key in (PRIVATE, SECOND, THIRD)}
KEYS = {key.public.fingerprint: key.public for key in (PRIVATE, SECOND, THIRD)}


def opened(key, text):
    """(import_mwh, export_mwh) of a ciphertext that left, under the key that it must be under."""
    return ENERGY_SLOTS.unpack(DECRYPTORS[key].decrypt(from_base64url(KEYS[key], text)))


class Home(Meter):
    """A meter that remembers its registers: {end: (import, export)}."""

    def __init__(self, index=0, **more):
        super().__init__(index, **more)
        self.at = {self.since: (self.imported, self.exported)}

    def measure(self, start, import_mwh=None, **changes):
        value = 1000 * (start - START) // INTERVAL + self.title[-1] + 1 if import_mwh is None else import_mwh
        frame = self.reading(start, value, value // 2, **changes)
        self.at[start + INTERVAL] = self.imported, self.exported
        return frame


class Street(Pole):
    """A pole of homes. ``schedule`` is which key is in force from when on, as a test expects it."""

    def __init__(self, folder, homes=K, accumulator="strict", **more):
        super().__init__(folder, [Home(i) for i in range(homes)], accumulator=accumulator, **more)
        self.schedule = [(0, PRIVATE.public.fingerprint)]
        self.used = {}  # {start: what the homes used}

    def rotate(self, valid_from=CHANGE, key=SECOND, version=2, now=START, **changes):
        """Put a roster with another key into the folder; returns why it was refused."""
        named = {"paillier_key": key.public.fingerprint, "paillier_n": key.public.to_jwk()["n"]}
        self.put_roster(version, valid_from, self.meters, **{**named, **changes})
        refused = self.look(now)
        if not refused:
            self.schedule.append((valid_from, key.public.fingerprint))
        return refused

    def key_at(self, at):
        return [key for since, key in self.schedule if since <= at][-1]

    def live(self, first=START, last=END, missing=lambda home, start: False):
        """Let time pass: everyone measures, those that are not missing are heard."""
        for start in range(first, last, INTERVAL):
            frames = []
            for home in self.meters:
                frame = home.measure(start)
                if not missing(home, start):
                    frames.append(frame)
                    before = self.used.get(start, (0, 0))
                    now, then = home.at[start + INTERVAL], home.at.get(start, home.at[home.since])
                    self.used[start] = tuple(b + n - t for b, n, t in zip(before, now, then, strict=True))
            self.take(frames, start + INTERVAL)
            self.close(start + INTERVAL + GRACE)

    def check_loads(self):
        """Every load is the sum of what was heard, under the key of its time."""
        for start, load in self.loads().items():
            assert load.paillier_key == self.key_at(start)
            if load.ciphertext is not None:
                assert opened(load.paillier_key, load.ciphertext) == self.used[start], start
        return self.loads()

    def check_windows(self, home):
        """A home's windows are differences of its registers, each under the key of its time; returns them."""
        windows = self.windows(home)
        before = home.since
        for window in windows:
            assert window.register_from == before
            assert window.paillier_key == self.key_at(window.register_from)
            before = window.register_to
            if window.energy is None:
                continue
            first, last = home.at[window.register_from], home.at[window.register_to]
            used = tuple(b - a for a, b in zip(first, last, strict=True))
            assert opened(window.paillier_key, window.energy) == used
            assert opened(self.key_at(window.register_to), window.closing_register) == last
        return windows
