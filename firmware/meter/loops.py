"""The loops over raw counts, in plain Python: what loops_viper.py does in machine code, word for word.

Each count is linearised by the table of its converter, freed of its bias and summed up. The loop ends early where a
block of whole mains cycles ends: before the sample that crosses zero upwards, at or behind turn ``least``.

``samples``: array("H") of counts, the channels in turn. ``table``: array("H") of 257 values in units of 100 uV, one
per 16 counts; between them straight lines. ``state``: array("i") of STATE words:

 0 turns to look at, at most MOST_TURNS   1, 2 bias of current and voltage   3 hysteresis of the crossing
 4 armed: was below minus the hysteresis  5 least turns before a block may end
 6 value before, of the channel whose crossings count   7 current's value before (two channels)
 9 turns summed up    10 sum of the current    11, 12 of its squares    13 sum of the voltage    14, 15 of its squares
 16, 17 sum of products    18, 19 of products of a voltage and the current one turn before
 20, 21 counts at a rail    22 .. 25 least and greatest count of current and of voltage
 26 crossings    27 the block has ended    28 the crossing's value

Sums of products are in two limbs: low (to be added) and high times 65536. Why nothing overflows the 31 bits that
viper has on a board: values are 0 to MOST_VALUE, so that a product is below 2**31; of MOST_TURNS products the low
limbs sum up to less than 2**26 and the high ones to less than 2**25.
What is read from ``state`` is never negative: on a 64-bit machine viper would read it without its sign.
"""

STATE = 29
MOST_VALUE = 46340  # its square is the last below 2**31
MOST_TURNS = 1000


def one(samples, table, state):
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


def two(samples, table, state):
    """Current and voltage in turn. See loops.py."""
    turns = int(state[0])
    bias = int(state[1])
    voltage_bias = int(state[2])
    hysteresis = int(state[3])
    armed = int(state[4])
    least = int(state[5])
    voltage_before = int(state[6])
    before = int(state[7])
    low = int(state[22])
    high = int(state[23])
    voltage_low = int(state[24])
    voltage_high = int(state[25])
    crossings = int(state[26])
    total = 0
    square_low = 0
    square_high = 0
    voltage_total = 0
    voltage_square_low = 0
    voltage_square_high = 0
    product_low = 0
    product_high = 0
    lagged_low = 0
    lagged_high = 0
    rails = 0
    voltage_rails = 0
    ended = 0
    k = 0
    while k < turns:
        count = int(samples[k + k + 1]) & 4095
        knot = count >> 4
        at = int(table[knot])
        value = at + (((int(table[knot + 1]) - at) * (count & 15)) >> 4)
        y = value - voltage_bias
        if y < -hysteresis:
            armed = 1
        elif armed and y >= hysteresis:
            armed = 0
            crossings += 1
            if k >= least:
                ended = 1
                state[28] = value
                break
        if count < voltage_low:
            voltage_low = count
        if count > voltage_high:
            voltage_high = count
        if count == 0 or count == 4095:
            voltage_rails += 1
        voltage_total += y
        square = y * y
        voltage_square_low += square & 65535
        voltage_square_high += square >> 16
        voltage_before = value
        count = int(samples[k + k]) & 4095
        if count < low:
            low = count
        if count > high:
            high = count
        if count == 0 or count == 4095:
            rails += 1
        knot = count >> 4
        at = int(table[knot])
        value = at + (((int(table[knot + 1]) - at) * (count & 15)) >> 4)
        x = value - bias
        total += x
        square = x * x
        square_low += square & 65535
        square_high += square >> 16
        square = x * y
        product_low += square & 65535
        product_high += square >> 16
        square = (before - bias) * y
        lagged_low += square & 65535
        lagged_high += square >> 16
        before = value
        k += 1
    state[4] = armed
    state[6] = voltage_before
    state[7] = before
    state[9] = k
    state[10] = total
    state[11] = square_low
    state[12] = square_high
    state[13] = voltage_total
    state[14] = voltage_square_low
    state[15] = voltage_square_high
    state[16] = product_low
    state[17] = product_high
    state[18] = lagged_low
    state[19] = lagged_high
    state[20] = rails
    state[21] = voltage_rails
    state[22] = low
    state[23] = high
    state[24] = voltage_low
    state[25] = voltage_high
    state[26] = crossings
    state[27] = ended
