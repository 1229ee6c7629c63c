"""One pass at the length of production: 3072 bits, no unsafe flag, secrets sealed on disk."""

import json

from mdms_bench import DAY, FAST, INTERVAL, MARCH, PASSPHRASE, Bench, ManualClock, energy

from mdms.keyholder.gate import Gate
from mdms.keyholder.holder import KeyHolder
from mdms.keyholder.keyring import open_keyring, seal_private_key
from mdms.keyholder.log_file import LogFile
from mdms.keyholder.messages import load_request
from mdms.keyholder.state import State
from mdms.rosters import RosterBook
from paillier import Encryptor
from paillier.private.key import generate_keypair


def test_a_load_under_3072_bits_is_released(tmp_path):
    bench = Bench()
    street = bench.north
    street.private = generate_keypair()
    street.public = street.private.public
    street.encryptor = Encryptor(street.public)
    assert (street.public.bits, street.public.ciphertext_bytes) == (3072, 768)
    book = RosterBook([street.make_roster(1, MARCH, street.members)])
    seal_private_key(tmp_path, street.name, street.private, PASSPHRASE, FAST)
    keyring = open_keyring(tmp_path, book, PASSPHRASE, unsafe_small_key=False)
    state = State(tmp_path / "state")
    holder = KeyHolder(
        Gate(bench.policy(), book, "bench"),
        keyring,
        state,
        LogFile(tmp_path / "log", state),
        bench.log_key,
        "bench",
        ManualClock(MARCH + DAY),
    )
    for at in range(2):
        told = json.loads(holder.answer(load_request(street.load(MARCH + at * INTERVAL))))
        assert (told["status"], told["import_mwh"]) == ("released", sum(map(energy, range(12))))
    state.close()
