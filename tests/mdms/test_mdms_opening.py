"""Bills of one key are opened many at once, and nobody's bill hangs on what another's ciphertext holds."""

import pytest
from mdms_bench import DAY, MARCH, RATING_W, pseudonym

from mdms.keyholder import opening
from mdms.keyholder.gate import Gate, Permit, most_mwh
from mdms.keyholder.messages import BillRequest, Item
from paillier import ENERGY_SLOTS
from paillier.private.decryption import Decryptor
from paillier.private.packed_decryption import PackedDecryptor
from protocol.windows import WINDOW_S

METERS = range(4)


@pytest.fixture
def policy(bench):
    return bench.policy("day", ["unsafe_short_periods"])


@pytest.fixture
def holder(bench, tmp_path, policy):
    holder = bench.holder(tmp_path, MARCH + DAY, policy)
    yield holder
    holder.close()


@pytest.fixture
def decrypted(monkeypatch):
    """How many sums were decrypted alone, and how many together."""
    count = {"alone": 0, "together": 0}
    alone, together = Decryptor.decrypt, PackedDecryptor.decrypt

    def decrypt(self, c, **options):
        count["alone"] += 1
        return alone(self, c, **options)

    def decrypt_packed(self, ciphertexts, **options):
        count["together"] += len(ciphertexts)
        return together(self, ciphertexts, **options)

    monkeypatch.setattr(Decryptor, "decrypt", decrypt)
    monkeypatch.setattr(PackedDecryptor, "decrypt", decrypt_packed)
    return count


def bill(street, meter, plaintext=None):
    """A day's bill; its first window holds ``plaintext`` instead of the meter's own energy."""
    first = ENERGY_SLOTS.pack((1000 + meter, meter)) if plaintext is None else plaintext
    sealed = street.text(street.encryptor.encrypt(first))
    windows = [
        street.window(MARCH, meter, energy=sealed),
        *street.windows(MARCH + WINDOW_S, MARCH + DAY, meter),
    ]
    return Item(bill=BillRequest(pseudonym(street.name, meter), MARCH, windows))


def released(meters):
    return [("released", 1000 + meter + 7, meter) for meter in meters]


def energies(answers):
    return [(answer["status"], answer.get("import_mwh"), answer.get("export_mwh")) for answer in answers]


def test_the_bills_of_one_request_are_opened_together(north, holder, decrypted):
    answers = holder.items(*(bill(north, meter) for meter in METERS))
    assert energies(answers) == released(METERS)
    assert decrypted == {"together": len(METERS), "alone": 0}


def test_a_bill_alone_and_every_load_are_opened_alone(north, south, holder, decrypted):
    loads = [Item(load=north.load(MARCH)), Item(load=north.load(MARCH + 900))]
    answers = holder.items(*loads, bill(north, 0), bill(south, 1))
    assert [answer["status"] for answer in answers] == ["released"] * 4
    assert decrypted == {"together": 0, "alone": 4}


@pytest.mark.parametrize("bits", [33, 60, 90, 150, 200, 300])
def test_a_sum_that_is_no_bill_spoils_no_other(north, holder, decrypted, bits):
    answers = holder.items(bill(north, 0, 1 << bits), *(bill(north, meter) for meter in (1, 2, 3)))
    assert answers[0]["status"] == "not_releasable"
    assert energies(answers[1:]) == released((1, 2, 3))
    assert decrypted["alone"] == len(METERS)


def test_a_sum_below_zero_spoils_no_other(north, holder):
    answers = holder.items(bill(north, 0, north.public.n - 1000), *(bill(north, meter) for meter in (1, 2)))
    assert answers[0]["status"] == "not_releasable"
    assert energies(answers[1:]) == released((1, 2))


def test_energy_that_jumps_over_the_guard_bits_stays_with_the_bill_that_it_was_signed_for(
    bench, north, holder, decrypted, capsys
):
    """The most that whoever signs can do: a whole turn of the slot, which sets no guard bit."""
    layout = PackedDecryptor.densest(
        bench.keyring[north.public.fingerprint].decryptor, ENERGY_SLOTS, below=most_mwh(RATING_W, DAY) + 1
    ).layout
    assert layout.plaintexts > 1
    jump = 1 << layout.shift(1)
    answers = holder.items(bill(north, 0, jump + 5), bill(north, 1), bill(north, 2))
    assert answers[0]["status"] == "not_releasable"
    assert energies(answers[1:]) == released((1, 2))
    assert decrypted["together"] == decrypted["alone"] == 3
    assert "could not be proved" in capsys.readouterr().out


def test_a_pack_is_not_believed_without_its_proof(north, holder, monkeypatch):
    """Planted: a packed decryption that gives two customers each other's energy."""
    together = PackedDecryptor.decrypt

    def swapped(self, ciphertexts, **options):
        first, second, *rest = together(self, ciphertexts, **options)
        return [second, first, *rest]

    monkeypatch.setattr(PackedDecryptor, "decrypt", swapped)
    assert energies(holder.items(*(bill(north, meter) for meter in METERS))) == released(METERS)


def test_only_bills_of_one_key_share_a_pack(bench, north, south, holder, policy):
    gate = Gate(policy, bench.book, "bench")
    permits = [
        gate.decide_bill(bill(street, meter).bill, holder.state, MARCH + DAY)
        for street, meter in ((north, 0), (south, 0), (north, 1))
    ]
    assert all(isinstance(permit, Permit) for permit in permits)
    sums = [opening._Sum(number, "", permit, permit.parts[0], 0) for number, permit in enumerate(permits)]
    assert opening._packs(sums) == {north.public.fingerprint: [sums[0], sums[2]]}
    assert opening.may_be_packed(permits)
    assert not opening.may_be_packed(permits[:2])


def test_a_neighbour_that_is_pushed_out_of_its_range_is_opened_again_alone(bench, north, holder):
    """The proof covers what is released; a neighbour that is refused because of another would not be in it."""
    most = most_mwh(RATING_W, DAY)
    layout = PackedDecryptor.densest(
        bench.keyring[north.public.fingerprint].decryptor, ENERGY_SLOTS, below=most + 1
    ).layout
    attack = (1 << layout.value_bits) - 8 + (most << layout.shift(1))
    answers = holder.items(bill(north, 0, attack), bill(north, 1), bill(north, 2))
    assert answers[0]["status"] == "not_releasable"
    assert energies(answers[1:]) == released((1, 2))


def test_a_total_that_is_no_blinded_ciphertext_stops_no_other(north, holder):
    """Two valid windows, the second under the inverse of the first's randomiser."""
    first = north.seal(1)
    second = pow(first, -1, north.public.n_squared) * (1 + 9 * north.public.n) % north.public.n_squared
    windows = [
        north.window(MARCH, 0, energy=north.text(first)),
        north.window(MARCH + WINDOW_S, 0, energy=north.text(second)),
        *(north.window(MARCH + at * WINDOW_S, 0, empty=True) for at in range(2, DAY // WINDOW_S)),
    ]
    answers = holder.items(
        Item(bill=BillRequest(pseudonym("north", 0), MARCH, windows)), bill(north, 1), bill(north, 2)
    )
    assert answers[0]["status"] == "not_releasable"
    assert energies(answers[1:]) == released((1, 2))
