"""The loop over one channel's counts in machine code. The body is that of loops.py: a test holds that, and the results.

Machine code lies in the heap wherever it came from: each loop is a file of its own, and a board loads the one it runs.
"""

import micropython


@micropython.viper  # pyright: ignore[reportArgumentType]
def one(samples: ptr16, table: ptr16, state: ptr32):
    """Current alone. See loops.py."""
    turns = int(state[0])
    bias = int(state[1])
    hysteresis = int(state[3])
    armed = int(state[4])
    least = int(state[5])
    before = int(state[6])
    low = int(state[22])
    high = int(state[23])
    crossings = int(state[26])
    total = 0
    square_low = 0
    square_high = 0
    rails = 0
    ended = 0
    k = 0
    while k < turns:
        count = int(samples[k]) & 4095
        knot = count >> 4
        at = int(table[knot])
        value = at + (((int(table[knot + 1]) - at) * (count & 15)) >> 4)
        x = value - bias
        if x < -hysteresis:
            armed = 1
        elif armed and x >= hysteresis:
            armed = 0
            crossings += 1
            if k >= least:
                ended = 1
                state[28] = value
                break
        if count < low:
            low = count
        if count > high:
            high = count
        if count == 0 or count == 4095:
            rails += 1
        total += x
        square = x * x
        square_low += square & 65535
        square_high += square >> 16
        before = value
        k += 1
    state[4] = armed
    state[6] = before
    state[9] = k
    state[10] = total
    state[11] = square_low
    state[12] = square_high
    state[20] = rails
    state[22] = low
    state[23] = high
    state[26] = crossings
    state[27] = ended
