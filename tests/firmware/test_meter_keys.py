"""The meter's chains: what it keeps, forgets and accepts."""

import bench
from concentrator import Enrolled

from firmware.meter.keys import Keys, provision
from protocol import keychain

E = 19000
ENROLLED = Enrolled(bench.TITLE, E)


def fresh():
    storage = bench.Storage()
    return provision(storage, ENROLLED.provisioning()), storage


def refuses(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_the_meter_seals_with_the_key_of_its_day():
    keys, _ = fresh()
    for day in (0, 1, 2, 9):
        keys.advance(E + day)
        assert keys.up() == ENROLLED.hop.at(E + day).key(keychain.UP)
        assert keys.detail() == ENROLLED.customer.at(E + day).key(keychain.DETAIL)


def test_the_sealing_epoch_never_goes_back_not_even_over_a_restart():
    keys, storage = fresh()
    keys.advance(E + 3)
    keys.advance(E + 2)
    assert keys.epoch == E + 3
    assert Keys(storage).epoch == E + 3
    assert Keys(storage).up() == ENROLLED.hop.at(E + 3).key(keychain.UP)


def test_a_day_change_forgets_the_customers_old_value_and_keeps_the_hop_value():
    keys, storage = fresh()
    keys.advance(E + 1)
    assert ENROLLED.customer.value not in storage.pieces["keys"]
    assert ENROLLED.hop.value in storage.pieces["keys"]
    assert keys.confirmed_epoch == E


def test_an_ack_of_a_later_epoch_forgets_the_old_hop_value():
    keys, storage = fresh()
    keys.advance(E + 5)
    keys.confirm(E + 3)
    assert keys.confirmed_epoch == E + 3
    assert ENROLLED.hop.value not in storage.pieces["keys"]
    assert ENROLLED.hop.at(E + 3).value in storage.pieces["keys"]
    assert keys.up() == ENROLLED.hop.at(E + 5).key(keychain.UP)


def test_an_ack_of_an_earlier_or_future_epoch_moves_nothing():
    keys, storage = fresh()
    keys.advance(E + 5)
    keys.confirm(E + 3)
    before = dict(storage.pieces)
    for epoch in (E, E + 2, E + 3, E + 6, 0xFFFF):
        keys.confirm(epoch)
    assert storage.pieces == before


def test_answers_are_accepted_from_the_confirmed_epoch_to_the_current_one():
    keys, _ = fresh()
    keys.advance(E + 4)
    for day in range(5):
        assert keys.down(E + day) == ENROLLED.hop.at(E + day).key(keychain.DOWN)
    keys.confirm(E + 2)
    for epoch in (E, E + 1, E + 5, E - 1, 0, 0xFFFF):
        assert refuses(keys.down, epoch)
    assert keys.down(E + 2) == ENROLLED.hop.at(E + 2).key(keychain.DOWN)


def test_answers_older_than_the_accepted_delay_are_refused_even_when_the_chain_is_kept():
    keys, _ = fresh()
    keys.advance(E + 30)
    assert refuses(keys.down, E + 22)
    assert keys.down(E + 23) == ENROLLED.hop.at(E + 23).key(keychain.DOWN)


def test_a_refused_epoch_costs_no_hash():
    keys, _ = fresh()
    keys.advance(E + 1)
    real = keychain.hmac_sha256

    def counted(key, message):
        raise AssertionError("hashed for an epoch that cannot be right")

    keychain.hmac_sha256 = counted
    try:
        for epoch in (0, E - 1, E + 2, 0xFFFE):
            assert refuses(keys.down, epoch)
    finally:
        keychain.hmac_sha256 = real


def test_the_same_enrolment_again_keeps_what_has_moved_on():
    keys, storage = fresh()
    keys.advance(E + 2)
    assert provision(storage, ENROLLED.provisioning()).epoch == E + 2


def test_another_enrolment_is_refused():
    _, storage = fresh()
    assert refuses(provision, storage, Enrolled(bench.TITLE, E, b"another").provisioning())
    assert refuses(provision, storage, Enrolled(bench.TITLE, E, series=2).provisioning())


def test_a_provisioning_with_anything_missing_or_wrong_is_refused_without_its_secrets():
    for name in ENROLLED.provisioning():
        for wrong in (None, "zz", "00", -1, 1 << 40, [], True):
            provisioning = ENROLLED.provisioning()
            provisioning[name] = wrong
            storage = bench.Storage()
            try:
                provision(storage, provisioning)
            except ValueError as error:
                assert name in str(error)
                assert storage.pieces == {}
            else:
                raise AssertionError(name)


def test_damaged_or_missing_keys_are_refused():
    _, storage = fresh()
    assert refuses(Keys, bench.Storage())
    for place in range(len(storage.pieces["keys"])):
        damaged = bytearray(storage.pieces["keys"])
        damaged[place] ^= 1
        copy = bench.Storage()
        copy.pieces["keys"] = bytes(damaged)
        assert refuses(Keys, copy)
    for length in range(5):
        copy.pieces["keys"] = bytes(length)
        assert refuses(Keys, copy)
