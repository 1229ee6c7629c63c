"""The loop over two channels' counts in machine code. See loops_viper.py."""

import micropython


@micropython.viper  # pyright: ignore[reportArgumentType]
def two(samples: ptr16, table: ptr16, state: ptr32):
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
