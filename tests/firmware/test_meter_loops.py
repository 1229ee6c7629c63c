"""The loops over raw counts: machine code and plain Python give the same, and nothing overflows a board's 31 bits."""

import random
from array import array

from firmware.meter import loops

try:
    from firmware.meter.loops_viper import one
    from firmware.meter.loops_viper_two import two
except (ImportError, AttributeError):  # CPython: the plain loops against themselves say nothing, the sums below do
    one, two = loops.one, loops.two

LOOPS = ((loops.one, one, 1), (loops.two, two, 2))
EXTREMES = (0, 1, 15, 16, 2047, 2048, 4079, 4080, 4094, 4095)
KINDS = ("any", "extreme", "low", "high", "too wide")


def counts(kind, number):
    if kind == "any":
        return array("H", [random.getrandbits(12) for _ in range(number)])
    if kind == "extreme":
        return array("H", [random.choice(EXTREMES) for _ in range(number)])
    if kind == "too wide":
        return array("H", [random.getrandbits(16) for _ in range(number)])
    return array("H", [0 if kind == "low" else 4095 for _ in range(number)])


def tables():
    steep = array("H", [min(n * 181, loops.MOST_VALUE) for n in range(257)])
    cliff = array("H", [0 if n < 128 else loops.MOST_VALUE for n in range(257)])
    return steep, cliff


def a_state(turns):
    state = [0] * loops.STATE
    state[0] = turns
    state[1] = random.choice((0, random.randrange(loops.MOST_VALUE), loops.MOST_VALUE))
    state[2] = random.choice((0, random.randrange(loops.MOST_VALUE), loops.MOST_VALUE))
    state[3] = random.choice((40, 5000, 20000))
    state[4] = random.getrandbits(1)
    state[5] = random.choice((0, turns // 2, turns + 1))
    state[6] = random.randrange(loops.MOST_VALUE)
    state[7] = random.choice((0, random.randrange(loops.MOST_VALUE), loops.MOST_VALUE))
    state[22] = state[24] = 4095
    return array("i", state)


def test_machine_code_and_plain_python_give_the_same_state():
    random.seed(6)
    for plain_loop, loop, channels in LOOPS:
        for kind in KINDS:
            for table in tables():
                for turns in (0, 1, 2, 400, loops.MOST_TURNS):
                    samples = counts(kind, max(1, turns) * channels)
                    plain = a_state(turns)
                    other = array("i", list(plain))
                    plain_loop(samples, table, plain)
                    loop(samples, table, other)
                    assert list(plain) == list(other), (channels, kind, turns)


def linear(table, count):
    count &= 4095
    low = table[count >> 4]
    return low + ((table[(count >> 4) + 1] - low) * (count & 15) >> 4)


def test_the_limbs_are_the_sums_of_the_products():
    random.seed(7)
    for table in tables():
        for kind in KINDS:
            state = a_state(loops.MOST_TURNS)
            state[5] = loops.MOST_TURNS
            before = state[7] - state[1]
            samples = counts(kind, 2 * loops.MOST_TURNS)
            each = list(samples)
            two(samples, table, state)
            x = [linear(table, c) - state[1] for c in each[::2]]
            y = [linear(table, c) - state[2] for c in each[1::2]]
            lagged = [before]
            lagged.extend(x[:-1])
            assert state[9] == loops.MOST_TURNS and not state[27]
            assert (state[10], state[13]) == (sum(x), sum(y))
            for place, products in (
                (11, [a * a for a in x]),
                (14, [a * a for a in y]),
                (16, [x[n] * y[n] for n in range(len(x))]),
                (18, [lagged[n] * y[n] for n in range(len(x))]),
            ):
                assert state[place] + (state[place + 1] << 16) == sum(products)


def test_nothing_in_the_sums_reaches_31_bits_at_the_worst():
    cliff = tables()[1]
    for count, bias in ((4095, 0), (0, loops.MOST_VALUE)):
        state = a_state(loops.MOST_TURNS)
        state[1] = state[2] = bias
        state[5] = loops.MOST_TURNS
        state[7] = loops.MOST_VALUE - bias
        two(array("H", [count] * (2 * loops.MOST_TURNS)), cliff, state)
        for place in range(10, 20):
            assert abs(state[place]) < 1 << 27, place
    assert loops.MOST_VALUE**2 < 1 << 31 < (loops.MOST_VALUE + 1) ** 2
