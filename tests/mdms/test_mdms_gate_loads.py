"""The release gate on neighbourhood loads: every way to a sum of too few, and the one to a sum of enough."""

import json

from mdms_bench import DAY, INTERVAL, MARCH, Bench, K, energy

from mdms.rosters import RosterBook
from paillier import ENERGY_SLOTS, add
from protocol import reports
from protocol.documents import from_base64url, generate_signing_key, to_base64url
from protocol.rosters import Member


def test_ten_of_twelve_meters_are_released_to_the_milliwatt_hour(holder, north):
    answer = holder.load(north.load(contributors=range(K)))
    assert answer["status"] == "released"
    assert (answer["import_mwh"], answer["export_mwh"]) == (sum(map(energy, range(K))), 7)
    assert answer["unsafe"] == []


def test_nine_contributors_are_too_few(holder, north):
    assert holder.load(north.load(contributors=range(K - 1)))["status"] == "too_few_contributors"


def test_a_load_without_a_ciphertext_is_too_few_whatever_its_bitmap_says(holder, north):
    assert holder.load(north.load(ciphertext=None))["status"] == "too_few_contributors"


def test_a_bitmap_cannot_count_a_meter_twice_or_one_that_is_not_there(holder, north):
    # Bits 12 to 15 stand in the last byte but name nobody.
    padded = to_base64url(bytes([0xFF, 0x30]))
    longer = to_base64url(bytes([0xFF, 0x03, 0x03]))
    shorter = to_base64url(bytes([0xFF]))
    for trick in (padded, longer, shorter, "", "!!"):
        answer = holder.load(with_bitmap(north, trick))
        assert answer["status"] == "not_on_roster", trick


def with_bitmap(street, text):
    content = json.loads(street.load().content_bytes())
    return street.sign(reports.INTERVAL_LOAD, json.dumps({**content, "contributors": text}).encode())


def test_what_nobody_signed_is_not_opened(holder, north):
    load = north.load()
    stranger = generate_signing_key()
    assert holder.load(north.load(key=stranger))["status"] == "bad_document"
    content = load.content_bytes().replace(b'"roster_version":1', b'"roster_version":2')
    forged = type(load)(load.type, to_base64url(content), load.signer, load.signature)
    assert holder.load(forged)["status"] == "bad_document"
    borrowed = type(load)(load.type, load.content, load.signer, north.load(MARCH + INTERVAL).signature)
    assert holder.load(borrowed)["status"] == "bad_document"
    relabelled = type(load)(reports.BILLING_WINDOW, load.content, load.signer, load.signature)
    assert holder.load(relabelled)["status"] == "bad_document"


def test_a_stolen_key_of_one_street_opens_nothing_of_another(holder, north, south):
    # South's thief takes the window of a household in North and signs it as a load of ten.
    window = reports.parse_report(reports.BILLING_WINDOW, north.window(import_mwh=4321).content_bytes())
    stolen = window.energy
    as_norths = north.load(key=south.key, ciphertext=stolen)
    assert holder.load(as_norths)["status"] == "bad_document"
    as_souths = south.load(ciphertext=stolen, paillier_key=north.public.fingerprint)
    assert holder.load(as_souths)["status"] == "wrong_key"
    # Under South's own key it is only noise: nothing that comes out tells anything.
    number = int.from_bytes(from_base64url(stolen, "energy"), "big") % south.public.n_squared
    answer = holder.load(south.load(ciphertext=south.raw(number)))
    assert answer["status"] in ("not_releasable", "bad_document")
    assert "import_mwh" not in answer


def test_a_window_is_not_a_load(holder, north):
    assert holder.load(north.window())["status"] == "bad_document"


def test_a_load_is_released_once_and_never_revised(holder, north):
    first = holder.load(north.load())
    assert first["status"] == "released"
    assert holder.load(north.load())["status"] == "already_released"
    assert holder.load(north.load(contributors=range(K)))["status"] == "already_released"


def test_a_load_is_opened_within_48_hours_and_not_before_its_end(holder, north):
    load, end = north.load(), MARCH + INTERVAL
    holder.clock.now = end - 1
    assert holder.load(load) == {"status": "not_closed"}
    holder.clock.now = end + 48 * 3600 + 1
    assert holder.load(load)["status"] == "too_late"
    holder.clock.now = end + 48 * 3600
    assert holder.load(north.load())["status"] == "released"


def test_before_the_time_is_known_nothing_is_decided(holder, north):
    holder.clock.now = None
    assert holder.load(north.load(contributors=range(2))) == {"status": "not_closed"}
    assert holder.log_lines() == []


def test_ciphertexts_that_are_none_are_not_opened(holder, north):
    n = north.public.n
    impossible = {
        "zero": 0,
        "one, which is nothing at all": 1,
        "unblinded, readable without a key": 1 + 5 * n,
        "unblinded under -1": north.public.n_squared - 1 - 5 * n,
        "n^2 and above": north.public.n_squared,
        "a multiple of a factor": north.private.p * 7,
    }
    for name, c in impossible.items():
        assert holder.load(north.load(ciphertext=north.raw(c)))["status"] == "bad_document", name
    assert holder.load(north.load(ciphertext="AAAA"))["status"] == "bad_document"


def test_guard_bits_and_impossible_sums_are_one_constant_refusal(holder, north):
    bound = 12 * 20_000 * INTERVAL * 1000 // 3600
    slot = ENERGY_SLOTS.slot_bits
    impossible = {
        "guard bits of import": 1 << slot - 1,
        "guard bits of export": 1 << 2 * slot - 1,
        "above the slots": 1 << 2 * slot,
        "a borrow": north.public.n - 1,
        "import above rating x time": bound + 1,
        "export above rating x time": (bound + 1) << slot,
    }
    answers = []
    for at, (name, m) in enumerate(impossible.items()):
        sealed = north.text(north.encryptor.encrypt(m))
        answers.append(holder.load(north.load(MARCH + at * INTERVAL, ciphertext=sealed)))
        assert answers[-1]["status"] == "not_releasable", name
    # Nothing in the answers tells one reason from another.
    assert len({tuple(sorted(answer)) for answer in answers}) == 1
    assert len({answer["status"] for answer in answers}) == 1
    edge = north.text(north.encryptor.encrypt(ENERGY_SLOTS.pack((bound, bound))))
    assert holder.load(north.load(MARCH + 10 * INTERVAL, ciphertext=edge))["status"] == "released"


def test_an_impossible_sum_is_spent_so_that_it_is_no_oracle(holder, north):
    # Whoever could shift a hidden sum and ask again would find it by halving: the first answer is the last.
    hidden = north.seal(4321)
    bound = 12 * 20_000 * INTERVAL * 1000 // 3600
    shifted = [add(north.public, hidden, north.seal(bound - guess)) for guess in (1000, 5000)]
    assert holder.load(north.load(ciphertext=north.text(shifted[0])))["status"] == "not_releasable"
    assert holder.load(north.load(ciphertext=north.text(shifted[1])))["status"] == "already_released"


def test_an_interval_is_the_rosters_own(holder, north):
    for changes in ({"interval_s": 300}, {"interval_s": 1800}, {"interval_start": MARCH + 1}):
        assert holder.load(north.load(**changes))["status"] == "bad_document"


def test_only_the_roster_in_force_counts(tmp_path):
    bench = Bench()
    street, april = bench.north, MARCH + 31 * DAY
    added = [*street.members, Member(to_base64url(b"newcomer" * 2), april)]
    book = RosterBook([street.roster, street.make_roster(2, april, added)])
    holder = bench.holder(tmp_path, april + DAY, book=book)
    wider = {"roster_version": 2, "contributors": range(13), "size": 13}
    assert holder.load(street.load(april))["status"] == "not_on_roster"
    assert holder.load(street.load(april, **wider))["status"] == "released"
    assert holder.load(street.load(april - INTERVAL, **wider))["status"] == "not_on_roster"
    assert holder.load(street.load(april - INTERVAL))["status"] == "released"
    assert holder.load(street.load(april + INTERVAL, roster_version=3))["status"] == "not_on_roster"
    assert holder.load(street.load(MARCH - INTERVAL))["status"] == "not_on_roster"
    holder.close()


def test_a_member_counts_from_its_own_first_window_on(tmp_path):
    bench = Bench()
    street = bench.north
    members = [*street.members[:9], *(Member(m.pseudonym, MARCH + 5 * DAY) for m in street.members[9:])]
    book = RosterBook([street.make_roster(1, MARCH, members)])
    holder = bench.holder(tmp_path, MARCH + DAY, book=book)
    assert holder.load(street.load())["status"] == "not_on_roster"
    assert holder.load(street.load(contributors=range(9)))["status"] == "too_few_contributors"
    holder.close()
