"""The private key is in the key holder's memory and in no other process's: their memory is read and searched.

What a core dump (gcore) would hold is what /proc/PID/mem shows. The search knows the factors as bytes of either order,
as limbs of 64 bits (GMP), as digits of 30 bits (CPython's integers), and as the text of the key file.
"""

import struct
import urllib.request

import pytest
from mdms_bench import INTERVAL, MARCH
from pages_bench import Customer, configure_pages
from test_mdms_processes import Process, post

from mdms.config import load_mdms_config
from mdms.keyholder.client import KeyHolderClient
from mdms.keyholder.messages import load_request

LIMB, DIGIT_BITS = 8, 30


@pytest.fixture
def start():
    started = []

    def starter(command, config):
        started.append(Process(command, config))
        return started[-1]

    yield starter
    for process in started:
        process.kill()


def traces(private):
    """What a part of a key looks like in memory, by name: of each factor, and of p and q as the key file has them."""
    found = {}
    for name, value in (("p", private.p), ("q", private.q)):
        value = int(value)
        size = (value.bit_length() + 63) // 64 * LIMB
        little = value.to_bytes(size, "little")
        # Every limb by itself: a part of a factor is enough to have it all.
        found |= {f"{name}, limb {at // LIMB}": little[at : at + LIMB] for at in range(0, size, LIMB)}
        big = value.to_bytes((value.bit_length() + 7) // 8, "big")
        found |= {f"{name}, big-endian from {at}": big[at : at + LIMB] for at in range(0, len(big) - LIMB, LIMB)}
        digits = [value >> shift & (1 << DIGIT_BITS) - 1 for shift in range(0, value.bit_length(), DIGIT_BITS)]
        found |= {
            f"{name}, digits from {at}": struct.pack("<3I", *digits[at : at + 3]) for at in range(len(digits) - 2)
        }
    jwk = private.to_jwk()
    return found | {f"{name} as text": jwk[name].encode()[:24] for name in ("p", "q") if name in jwk}


def memory_of(pid):
    """Yield every readable piece of a process's memory, overlapping so that nothing hides at an edge."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, permissions, *_ = line.split()
            start, end = (int(text, 16) for text in place.split("-"))
            if "r" not in permissions or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, OverflowError):
                continue


def parts_in(pid, private):
    wanted = traces(private)
    found, read = set(), 0
    for piece in memory_of(pid):
        read += len(piece)
        found |= {name for name, pattern in wanted.items() if pattern in piece}
    assert read > 1 << 20, "the memory was not read"
    return found


@pytest.mark.timeout(300)
def test_no_part_of_the_key_is_in_a_web_workers_memory_and_it_is_found_in_the_key_holders(
    bench, north, tmp_path, start
):
    mdms, keyholder = bench.write(tmp_path)
    configure_pages(bench, tmp_path, mdms, [Customer(north, 0)])
    holder, web, worker = (start(*it) for it in (("keyholder", keyholder), ("serve", mdms), ("worker", mdms)))
    port = web.said("listening")["port"]
    holder.said("key holder ready")
    # All of them have worked: a load was reported, opened and shown.
    assert post(port, [north.load(MARCH), north.load(MARCH + INTERVAL)]) == ["stored"] * 2
    client = KeyHolderClient(load_mdms_config(mdms).keyholder_socket)
    assert client.ask(load_request(north.load(MARCH)))[1]["status"] == "too_late"
    client.close()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=60).read()
    for process in (web, worker):
        assert parts_in(process.run.pid, north.private) == set()
    # The same search finds it where it is.
    there = parts_in(holder.run.pid, north.private)
    assert {"p, limb 0", "q, limb 0"} <= there
    # And what the web server must have it finds there: the public key, which the rosters name.
    modulus = int(north.public.n).to_bytes(64, "little")[:LIMB]
    assert any(modulus in piece for piece in memory_of(web.run.pid))
