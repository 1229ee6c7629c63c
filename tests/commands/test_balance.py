"""The ledger counts by names over the street's own record, so a lost name is a lost sum."""

from scripts.balance import Named, Stretch, balance

MEASURED = {("aa", 0): 1, ("aa", 900): 8, ("aa", 1800): 64, ("bb", 0): 512, ("bb", 900): 4096}
NOTHING = Named(set(), [])


def taken(**changes):
    arguments = {
        "billed_mwh": 9,
        "billed": [Stretch("aa", 0, 1800)],
        "queued": Named({("aa", 1800)}, [Stretch("bb", 0, 900)]),
        "quarantined": {("bb", 900)},
        "counts": {"duplicate": 3, "corrupt": 2, "conflict": 1, "stored": 99},
    }
    return balance(MEASURED, 900, **{**arguments, **changes})


def test_a_sound_run_balances():
    result = taken()
    assert result.balances()
    assert (result.queued_mwh, result.quarantined_mwh) == (64 + 512, 4096)
    assert (result.readings, result.duplicates, result.refused) == (5, 3, 3)


def test_a_queued_reading_that_nobody_names_is_missed():
    assert not taken(queued=Named(set(), [Stretch("bb", 0, 900)])).balances()
    assert not taken(queued=Named({("aa", 1800)}, [])).balances()


def test_a_bill_that_is_a_milliwatt_hour_off_is_seen():
    assert not taken(billed_mwh=8).balances()
    assert not taken(billed_mwh=10).balances()


def test_a_quarantined_reading_that_is_billed_too_is_seen():
    assert not taken(billed_mwh=9 + 4096).balances()


def test_a_reading_named_twice_counts_once():
    doubled = Named({("aa", 1800), ("bb", 0)}, [Stretch("bb", 0, 900), Stretch("bb", 0, 900)])
    assert taken(queued=doubled).balances()


def test_a_reading_whose_acknowledgement_is_on_the_way_counts_as_billed():
    assert taken(queued=Named({("aa", 0), ("aa", 1800)}, [Stretch("bb", 0, 900)])).balances()


def test_a_name_without_energy_adds_nothing():
    assert taken(queued=Named({("aa", 1800), ("cc", 0)}, [Stretch("bb", -900, 900)])).balances()
