"""Attacks on the release gate, each with the reason for which it is refused and its allowed twin. `make test-gate`.

Whoever asks here has taken over the web server, and now and then a concentrator's key. Every attack meets a key holder
of its own with an empty memory. What a key holder refuses is in its signed log; where it refuses to start at all there
is nobody to sign, and the refusal is one line on its stderr.
"""

import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog
from mdms_bench import APRIL, DAY, DEPLOYMENT, INTERVAL, MARCH, Bench, K, pseudonym
from rotation_bench import WHOLE, two_keys
from tariff_bench import book_of, day_and_night, tariff

from mdms.errors import CannotStart
from mdms.keyholder.log import LogBroken, verify_log
from mdms.tariffs import NO_TARIFFS
from paillier import add, ciphertext
from protocol import reports
from protocol.documents import generate_signing_key, sign, to_base64url
from protocol.tariffs import Band, Times
from protocol.windows import WINDOW_S
from scripts import verify_log as command

ME = pseudonym("north", 0)
MAY = APRIL + 30 * DAY
WEEK = MARCH + 7 * DAY
NOT_STARTED = "does not start"


class Scene:
    """One key holder with what is asked of it. ``said`` is why it does not start, where it does not."""

    def __init__(self, bench, folder, now=APRIL, period="month", tariffs=NO_TARIFFS):
        self.bench, self.folder = bench, folder
        self.north, self.south = bench.north, bench.south
        self.policy, self.tariffs = bench.policy(period), tariffs
        self.holder = None
        self.said = ""
        self.start(now)

    def start(self, now, tariffs=None):
        """Start the key holder again on its memory; returns whether it does."""
        if self.holder:
            self.holder.close()
        self.holder = None
        try:
            self.holder = self.bench.holder(self.folder, now, self.policy, tariffs=tariffs or self.tariffs)
        except CannotStart as error:
            self.said = str(error)
        return "starts" if self.holder else NOT_STARTED

    def bill(self, windows, start=MARCH, name=ME):
        return self.holder.bill(windows, name, start)["status"]

    def load(self, at=None, street=None, **changes):
        at = self.holder.clock.now - INTERVAL if at is None else at
        return self.holder.load((street or self.north).load(at, **changes))["status"]

    def march(self, **more):
        return self.north.windows(MARCH, APRIL, **more)

    def decisions(self):
        """What the key holder's log says, oldest first; raises LogBroken where it is broken."""
        return [entry.decision for entry in verify_log(self.log_lines(), DEPLOYMENT, self.bench.log_key).entries]

    def log_lines(self):
        return (self.folder / "release-log.jsonl").read_bytes().splitlines()

    def close(self):
        if self.holder:
            self.holder.close()


class Attack(NamedTuple):
    """``attack`` and ``twin`` return what came out. ``scene`` are the key holder's settings."""

    name: str
    expected: str
    attack: Callable[[Scene], str]
    twin: Callable[[Scene], str]
    allowed: str = "released"
    scene: Callable[[Bench], dict] = lambda bench: {}


# --- Loads --------------------------------------------------------------------------------------------------------


def contributors(count):
    return lambda scene: scene.load(contributors=range(count))


def twice(first, second):
    def ask(scene):
        at = scene.holder.clock.now - 2 * INTERVAL
        scene.load(at, contributors=range(first))
        return scene.load(at, contributors=range(second))

    return ask


def two_intervals(scene):
    at = scene.holder.clock.now - 2 * INTERVAL
    scene.load(at)
    return scene.load(at + INTERVAL, contributors=range(11))


def the_same_bytes(scene):
    load = scene.north.load(APRIL - INTERVAL)
    first, again = scene.holder.load(load), scene.holder.load(load)
    return again["status"] if first == again else "another answer"


def half_an_interval(scene):
    scene.load()
    return scene.load(APRIL - INTERVAL // 2, interval_s=INTERVAL // 2)


def padded_bitmap(scene):
    content = json.loads(scene.north.load(APRIL - INTERVAL).content_bytes()) | {
        "contributors": to_base64url(b"\xff\x30")
    }
    return scene.holder.load(scene.north.sign(reports.INTERVAL_LOAD, json.dumps(content).encode()))["status"]


def stranger(scene):
    return scene.load(key=generate_signing_key())


def other_label(scene):
    load = scene.north.load(APRIL - INTERVAL)
    return scene.holder.load(type(load)(reports.BILLING_WINDOW, load.content, load.signer, load.signature))["status"]


def other_deployment(scene):
    content = scene.north.load(APRIL - INTERVAL).content_bytes()
    return scene.holder.load(sign(scene.north.key, reports.INTERVAL_LOAD, "elsewhere", content))["status"]


def stolen_window(scene):
    """A household's window, freshly randomised, as whoever holds South's signing key may take it."""
    window = reports.parse_report(reports.BILLING_WINDOW, scene.north.window(import_mwh=4321).content_bytes())
    c = ciphertext.from_base64url(scene.north.public, window.energy)
    return add(scene.north.public, c, scene.north.encryptor.encrypt(0))


def stolen_as_norths(scene):
    return scene.load(key=scene.south.key, ciphertext=scene.north.text(stolen_window(scene)))


def stolen_as_souths(scene):
    sealed = scene.north.text(stolen_window(scene))
    return scene.load(street=scene.south, ciphertext=sealed, paillier_key=scene.north.public.fingerprint)


def stolen_under_souths_key(scene):
    # As a number it is a ciphertext of South's too, and opens to noise.
    number = stolen_window(scene) % scene.south.public.n_squared
    return scene.load(street=scene.south, ciphertext=scene.south.raw(number))


def souths_own(scene):
    return scene.load(street=scene.south)


def impossible_again(scene):
    """Whether a hidden sum is larger than a guess, asked a second time with another guess."""
    hidden, bound = scene.north.seal(4321), 12 * 20_000 * INTERVAL * 1000 // 3600
    tries = [add(scene.north.public, hidden, scene.north.seal(bound - guess)) for guess in (1000, 5000)]
    return [scene.load(ciphertext=scene.north.text(c)) for c in tries][-1]


# --- Bills --------------------------------------------------------------------------------------------------------


def whole_march(scene):
    return scene.bill(scene.march())


def all_but_one(scene):
    march = scene.march()
    return scene.bill(march[:9] + march[10:])


def own_period(scene):
    return scene.bill(scene.march()[8:16], MARCH + DAY)


def overlapping(scene):
    march = scene.march()
    scene.bill(march)
    scene.holder.clock.now = MAY
    return scene.bill([march[-1], *scene.north.windows(APRIL, MAY)], APRIL)


def following(scene):
    scene.bill(scene.march())
    scene.holder.clock.now = MAY
    return scene.bill(scene.north.windows(APRIL, MAY), APRIL)


def reported_anew(scene):
    march = scene.march()
    scene.bill(march)
    return scene.bill([scene.north.window(MARCH, import_mwh=500), *march[1:]])


def late_window(scene):
    scene.bill(scene.march())
    return scene.bill([scene.north.window(MARCH, import_mwh=77)])


def one_window_of_april(scene):
    scene.bill(scene.march())
    scene.holder.clock.now = MAY
    return scene.bill([scene.north.window(APRIL, import_mwh=77)], APRIL)


def everything_up_to(end):
    return lambda scene: scene.bill(scene.north.windows(MARCH, end))


def mostly_empty(scene):
    filled = {MARCH + 5 * WINDOW_S}
    return scene.bill(scene.march(empty=set(range(MARCH, APRIL, WINDOW_S)) - filled))


def foreign_window(scene):
    return scene.bill([scene.north.window(MARCH, meter=1), *scene.march()[1:]])


def unsigned_window(scene):
    window = scene.north.window(MARCH)
    forged = type(window)(window.type, window.content, window.signer, scene.north.window(MARCH + WINDOW_S).signature)
    return scene.bill([forged, *scene.march()[1:]])


# --- Bands and tariffs --------------------------------------------------------------------------------------------


def sunday_morning():
    others = [Times("sunday", 0, 3), Times("sunday", 6, 24), Times("saturday", 0, 24), Times("workdays", 0, 24)]
    return tariff(Band("one", [Times("sunday", 3, 6)], 900_000, 0), Band("rest", others, 1, 0))


def sums_of(answer):
    """How a bill was opened, band by band: `day, night` are two sums, `one+rest` is one."""
    return (
        ", ".join("+".join(band["name"] for band in one["bands"]) for one in answer.get("sums", [])) or answer["status"]
    )


def opened_sums(end):
    return lambda scene: sums_of(scene.holder.bill(scene.north.windows(MARCH, end), ME, MARCH))


def nights_alone(scene):
    nights = [window for at, window in enumerate(scene.march()) if at % 8 in (0, 1, 7)]
    return scene.bill(nights)


def shifted(**changes):
    """Day and night with one window a week moved."""
    night = [Times("all", 0, 3), Times("workdays", 3, 6), Times("saturday", 3, 6), Times("all", 21, 24)]
    day = [Times("all", 6, 21), Times("sunday", 3, 6)]
    return tariff(Band("day", day, 400_000, 0), Band("night", night, 200_000, 0), **changes)


def another_tariff_for(*changed):
    def restart(scene):
        whole_march(scene)
        return scene.start(APRIL, book_of(scene.bench.operator, *changed))

    return restart


def march_under_the_next_tariff(scene):
    whole_march(scene)
    scene.start(APRIL, book_of(scene.bench.operator, day_and_night(), shifted(version=2, valid_from=MAY)))
    return scene.bill([scene.north.window(MARCH, import_mwh=2), *scene.march()[1:]])


# --- Keys, and the log --------------------------------------------------------------------------------------------


def under_two_keys(old_windows):
    """A bill of two periods, of which the first had so few windows that it was not opened by itself, or was whole."""

    def ask(scene):
        with two_keys(scene, old_windows) as (holder, windows):
            answer = holder.bill(windows, ME, APRIL)
        proofs = sum("root" in one for one in answer["sums"])
        return f"{answer['status']}, {len(answer['sums'])} sums told, {proofs} proved"

    return ask


def restored(scene):
    """The key holder's database put back to the day before, so that March may be opened once more."""
    scene.load()
    scene.holder.close()
    scene.holder = None
    kept = scene.folder / "kept"
    kept.mkdir()
    for path in scene.folder.glob("keyholder.sqlite3*"):
        shutil.copy(path, kept)
    scene.start(APRIL)
    scene.bill(scene.march())
    scene.holder.close()
    scene.holder = None
    for path in kept.iterdir():
        shutil.copy(path, scene.folder)
    return scene.start(APRIL)


def stopped_and_started(scene):
    scene.load()
    return scene.start(APRIL)


def cut_short(lines):
    """The exported log without its last entries, checked against the head that was published."""

    def check(scene):
        scene.load()
        scene.bill(scene.march()[1:])
        scene.bill(scene.march())
        head = scene.holder.state.head()
        path = scene.folder / "copy.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in scene.log_lines()[: head.seq - lines]))
        key = to_base64url(scene.bench.log_key.public_key().export_key(format="raw"))
        try:
            command.check(path, DEPLOYMENT, key, head)
        except LogBroken:
            return "broken"
        return "holds"

    return check


# --- The suite ----------------------------------------------------------------------------------------------------


def with_tariff(one, **more):
    return lambda bench: {"tariffs": book_of(bench.operator, one), **more}


def period(end):
    return lambda bench: {"period": f"fixed:{MARCH}:{end}", "now": end}


DAY_NIGHT = with_tariff(day_and_night())
ONE_WINDOW = f"fixed:{MARCH}:{WEEK}"

ATTACKS = (
    Attack("a single meter as a load", "too_few_contributors", contributors(1), contributors(K)),
    Attack("k-1 meters", "too_few_contributors", contributors(K - 1), contributors(K)),
    Attack("a bitmap with bits of nobody", "not_on_roster", padded_bitmap, contributors(K)),
    Attack("a load minus one meter: 12, then 11", "already_released", twice(12, 11), two_intervals),
    Attack("a load repeated with another ciphertext", "already_released", twice(12, 12), the_same_bytes),
    Attack("an interval that overlaps a released one", "bad_document", half_an_interval, two_intervals),
    Attack("an impossible sum asked again, to halve it", "already_released", impossible_again, contributors(12)),
    Attack("a load that nobody signed", "bad_document", stranger, contributors(12)),
    Attack("a window's or load's other label", "bad_document", other_label, contributors(12)),
    Attack("a label of another deployment", "bad_document", other_deployment, contributors(12)),
    Attack("a home's window, signed as North's by South's key", "bad_document", stolen_as_norths, souths_own),
    Attack("the same, as South's under North's Paillier key", "wrong_key", stolen_as_souths, souths_own),
    Attack("the same, as South's under South's", "not_releasable", stolen_under_souths_key, souths_own),
    Attack("a bill of all windows but one", "windows_missing", all_but_one, whole_march),
    Attack("a period that the asker chose", "bad_document", own_period, whole_march),
    Attack("overlapping bills", "window_spent", overlapping, following),
    Attack("a bill repeated with one window anew", "window_spent", reported_anew, following),
    Attack("a correction that is one late window", "window_spent", late_window, following),
    Attack("one window as the next period's bill", "windows_missing", one_window_of_april, following),
    Attack(
        "a period of one window",
        "period_too_short",
        everything_up_to(MARCH + WINDOW_S),
        whole_march,
        scene=period(MARCH + WINDOW_S),
    ),
    Attack("a period with one window that is not empty", "period_too_short", mostly_empty, whole_march),
    Attack("a neighbour's window in a bill", "bad_document", foreign_window, whole_march),
    Attack("a window that nobody signed", "bad_document", unsigned_window, whole_march),
    Attack(
        "a band of one window a period",
        "one+rest",
        opened_sums(WEEK),
        opened_sums(APRIL),
        "day, night",
        with_tariff(sunday_morning(), period=ONE_WINDOW, now=WEEK),
    ),
    Attack("the windows of one band alone", "windows_missing", nights_alone, whole_march, scene=DAY_NIGHT),
    Attack(
        "two tariffs that differ in one window, at once",
        NOT_STARTED,
        another_tariff_for(day_and_night(), shifted(version=2, valid_from=MARCH + WINDOW_S)),
        another_tariff_for(day_and_night(), shifted(version=2, valid_from=MAY)),
        "starts",
        DAY_NIGHT,
    ),
    Attack(
        "the second instead of the first",
        NOT_STARTED,
        another_tariff_for(shifted()),
        another_tariff_for(day_and_night()),
        "starts",
        DAY_NIGHT,
    ),
    Attack(
        "a spent period under the next tariff",
        "window_spent",
        march_under_the_next_tariff,
        whole_march,
        scene=DAY_NIGHT,
    ),
    Attack(
        "one window under the key before",
        "released, 1 sums told, 0 proved",
        under_two_keys(1),
        under_two_keys(WHOLE),
        "released, 2 sums told, 2 proved",
    ),
    Attack("a database put back to the day before", NOT_STARTED, restored, stopped_and_started, "starts"),
    Attack("the log cut short", "broken", cut_short(1), cut_short(0), "holds"),
)
# Attacks whose twin lives under other settings than the attack.
TWIN_SCENES = {
    "a period of one window": lambda bench: {},
    "a band of one window a period": DAY_NIGHT,
}


class Outcome(NamedTuple):
    """What an attack and its twin came to, and where the refusal is written."""

    actual: str
    logged: str
    twin: str

    def right(self, attack):
        return self.actual == attack.expected and bool(self.logged) and self.twin == attack.allowed


def outcome(attack, bench, folder):
    """Run an attack and its twin, each on a key holder of its own."""
    found = []
    for name, ask in (("attack", attack.attack), ("twin", attack.twin)):
        settings = attack.scene(bench)
        if name == "twin" and attack.name in TWIN_SCENES:
            settings = TWIN_SCENES[attack.name](bench)
        (folder / name).mkdir()
        scene = Scene(bench, folder / name, **settings)
        try:
            found.append(ask(scene))
            if name == "attack":
                logged = where_logged(scene, attack.expected)
        finally:
            scene.close()
    return Outcome(found[0], logged, found[1])


def where_logged(scene, expected):
    if scene.said:
        return "stderr"
    decisions = scene.decisions()
    if expected in ("one+rest", "broken") or expected.startswith("released"):
        # What is opened as one sum is logged as one sum; a log that is cut short says so by its head.
        return f"entry {len(decisions)}" if decisions[-1] == "released" else ""
    return f"entry {len(decisions)}" if decisions[-1] == expected else ""


def main():
    """Run the suite and print it; status 0 only if every attack is refused as it must be, and each twin passes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    bench, wrong = Bench(), 0
    print(f"{'attack':50} {'expected':32} {'actual':32} {'logged':9} {'its twin':32}")
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as folder:
            found = outcome(attack, bench, Path(folder))
        right = found.right(attack)
        wrong += not right
        print(
            f"{attack.name:50} {attack.expected:32} {found.actual:32} {found.logged or 'NOT':9} {found.twin:32}"
            f"{'' if right else ' WRONG'}"
        )
    print(f"{len(ATTACKS)} attacks, {len(ATTACKS) - wrong} refused for the right reason and logged; their twins pass")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
