"""The arithmetic as a page of text: the same numbers at every run."""

from collections.abc import Iterator

from hardware.analog import bias, budget, current, filters, protection, voltage
from hardware.analog.rules import SURGE_V, rules
from hardware.circuit import Circuit, Clamp

SLOWER_HZ = (1000.0, 2000.0)  # what a board that is not fast enough may come down to
LOADS = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50, 1.00)  # of the clamp's range


def report(circuit: Circuit) -> str:
    """Return the whole page."""
    parts: list[Iterator[str]] = [bias_lines(circuit)]
    parts += [clamp_lines(circuit, clamp) for clamp in circuit.clamp]
    parts += [voltage_lines(circuit), protection_lines(circuit)]
    parts += [budget_lines(circuit, clamp) for clamp in circuit.clamp]
    parts.append(rule_lines(circuit))
    return "\n".join("\n".join(part) + "\n" for part in parts)


def line(name: str, value: float, unit: str, how: str, digits: int = 3) -> str:
    return f"  {name:<44}{value:>10.{digits}f} {unit:<5}{how}".rstrip()


def bias_lines(circuit: Circuit) -> Iterator[str]:
    span, converter = bias.bias_v(circuit), circuit.converter
    yield f"Zero and range (ESP32 ADC1, {converter.attenuation_db} dB)"
    yield line("bias", span.nominal, "V", "3V3 x R3 / (R2 + R3)")
    yield line("bias, lowest", span.low, "V", "rail and resistors at their tolerances")
    yield line("bias, highest", span.high, "V", "")
    yield line("linear from", converter.linear_min_v, "V", "ESP32 data sheet; below 0.1 V it reads 0")
    yield line("linear to", converter.linear_max_v, "V", "")
    yield line("room for a peak, at the worst bias", bias.room_v(circuit), "V", "the lesser of both sides")
    yield line("zero reads", bias.counts(circuit, span.nominal), "", "(V - offset) / volt per count", 0)
    reach = 2 * bias.room_v(circuit) / converter.volt_per_count
    yield line("counts of the usable range", reach, "", "of 4096", 0)
    yield line("a count", converter.volt_per_count * 1000, "mV", "ESP-IDF esp_adc_cal, Vref 1.1 V", 4)
    spread = converter.vref_spread_v / converter.vref_v * 100
    yield line("a count, from chip to chip", spread, "%", "+/-, Vref 1.0 to 1.2 V: calibrate", 1)
    yield line("shift by a diode's leakage", bias.leak_shift_v(circuit) * 1000, "mV", "leak x (R2 || R3 + R4)")


def clamp_lines(circuit: Circuit, clamp: Clamp) -> Iterator[str]:
    volts, hertz = max(circuit.mains.nominal_v), circuit.mains.frequency_hz
    burden, filtered = current.burden_ohm(circuit, clamp), filters.current_filter(circuit, clamp)
    how = clamp.burden if clamp.inside_ohm is None else f"{clamp.burden} || {clamp.inside_ohm:.0f} ohm inside"
    yield f"Current channel with {clamp.name}"
    yield line("burden", burden, "ohm", how, 2)
    yield line("signal", current.volt_per_ampere(circuit, clamp) * 1000, "mV/A", "burden / turns")
    peak = current.peak_v(circuit, clamp, clamp.rated_a, current.SINE)
    yield line(f"peak at {clamp.rated_a:.0f} A, sine", peak, "V", "sqrt(2) x signal")
    yield line(
        "full scale, sine", current.full_scale_a(circuit, clamp, current.SINE), "A", "at every tolerance's worst", 1
    )
    yield line("full scale, crest factor 3", current.full_scale_a(circuit, clamp, current.PEAKY), "A", "room / 3", 1)
    count, noise = current.count_a(circuit, clamp), current.noise_a(circuit, clamp)
    yield line("one count", count * 1000, "mA", "", 1)
    yield line("one count", count * volts, "W", f"at {volts:.0f} V", 1)
    noisy = f"{circuit.converter.noise_counts:.0f} counts RMS assumed"
    yield line("noise as an RMS current, not taken off", noise * 1000, "mA", noisy, 0)
    resolved = current.resolved_a(circuit, clamp)
    yield line("resolved with a voltage channel, 1 s", resolved * 1000, "mA", "noise / sqrt(samples)", 1)
    yield line("resolved with a voltage channel, 1 s", resolved * volts, "W", f"at {volts:.0f} V", 2)
    rated = clamp.rated_a / clamp.turns
    yield line("heat in the burden, rated", current.burden_w(circuit, clamp, rated) * 1000, "mW", "I^2 R", 1)
    hot = current.burden_w(circuit, clamp, clamp.saturated_a)
    yield line("heat in the burden, saturated", hot * 1000, "mW", "at what 250 A drove", 1)
    yield from filter_lines(circuit, clamp, filtered)
    for name, other in other_filters(circuit):
        skew = filters.skew_deg(filtered, other, hertz[0])
        spread = filters.skew_spread_deg(filtered, other, hertz[0])
        yield line(f"lag behind the {name}, {hertz[0]:.0f} Hz", skew, "deg", f"+/- {spread:.2f} by tolerances", 2)
    feigned = filters.crosstalk_a(circuit, clamp, volts, filters.strayed_farad(circuit)) * 1000
    yield line("current feigned by the voltage channel", feigned, "mA", "stray / C1: C3, C4 return to BIAS", 3)
    wrong = filters.crosstalk_a(circuit, clamp, volts, circuit.farad("C4")) * 1000
    yield line("the same, were C3 and C4 wired to ground", wrong, "mA", "C4 / C1", 1)


def filter_lines(circuit: Circuit, clamp: Clamp, filtered: filters.Filter) -> Iterator[str]:
    half = circuit.sampling.rate_hz / 2
    yield line("filter corner", filtered.corner_hz, "Hz", "1 / (2 pi (burden + R4) C3)", 0)
    yield line(f"gain at {half:.0f} Hz, half the sampling rate", filtered.decibel(half), "dB", "first order", 1)
    for slower in SLOWER_HZ:
        gain = filtered.decibel(slower / 2)
        yield line(f"the same, sampled at {slower:.0f} Hz only", gain, "dB", "", 1)
    fold = circuit.sampling.rate_hz - circuit.mains.frequency_hz[0]
    yield line(f"gain at {fold:.0f} Hz, which folds onto the mains", filtered.decibel(fold), "dB", "", 1)
    yield line("least sampling rate of this filter", filters.slowest_rate_hz(filtered, 6), "Hz", "-6 dB at its half", 0)
    for hertz in circuit.mains.frequency_hz:
        yield line(f"lag at {hertz:.0f} Hz", filtered.lag_deg(hertz), "deg", "atan(f / fc)", 2)
    seventh = 7 * circuit.mains.frequency_hz[0]
    yield line(f"gain at {seventh:.0f} Hz, the seventh harmonic", filtered.decibel(seventh), "dB", "", 2)


def other_filters(circuit: Circuit) -> list[tuple[str, filters.Filter]]:
    return [
        ("adaptor's channel", filters.adaptor_filter(circuit)),
        ("ZMPT101B's channel", filters.isolator_filter(circuit)),
    ]


def voltage_lines(circuit: Circuit) -> Iterator[str]:
    yield "Voltage channel"
    own = (circuit.adaptor.nominal_v,)
    ways = (
        ("adaptor", voltage.adaptor_gain(circuit), own),
        ("ZMPT101B", voltage.isolator_gain(circuit), circuit.mains.nominal_v),
    )
    for name, gain, supplies in ways:
        yield line(f"{name}: signal", gain * 1000, "mV/V", "")
        for nominal in supplies:
            high = voltage.highest_mains_v(circuit, nominal)
            yield line(f"{name}: peak at {high:.0f} V", voltage.peak_v(gain, high), "V", f"{nominal:.0f} V + 10 %")
        count = circuit.converter.volt_per_count / gain
        yield line(f"{name}: one count", count, "V", "")
        full = bias.room_v(circuit) / current.SINE / gain
        yield line(f"{name}: full scale", full, "V", "room / sqrt(2) / signal", 0)
    fits = voltage.highest_open_v(circuit, bias.room_v(circuit))
    yield line("another adaptor: output without load, at most", fits, "V", "RMS; room / sqrt(2) x (R6 + R7) / R7", 1)
    highest = max(voltage.highest_mains_v(circuit, nominal) for nominal in circuit.mains.nominal_v)
    yield line("adaptor: heat in R6", voltage.adaptor_w(circuit, highest) * 1000, "mW", "", 0)
    yield line("ZMPT101B: primary current", voltage.isolator_a(circuit, highest) * 1000, "mA", "V / (R12 + R13)", 2)
    yield line("ZMPT101B: heat in R12, R13, each", voltage.isolator_w(circuit, highest) * 1000, "mW", "", 0)


def protection_lines(circuit: Circuit) -> Iterator[str]:
    yield "When something goes wrong"
    for clamp in circuit.clamp:
        peak = current.peak_v(circuit, clamp, 100.0, current.PEAKY)
        into = protection.overload_a(circuit, peak) * 1000
        yield line(f"100 A, crest factor 3, {clamp.name}: diode", into, "mA", "(bias + peak - 3V3 - Vf) / R4", 2)
    lost = protection.lost_burden_a(circuit) * 1000
    yield line("burden lost, clamp saturated: diode", lost, "mA", "(TVS + bias - 3V3 - Vf) / R4", 2)
    rated = circuit.protection.diode_rated_a * 1000
    yield line("a diode may carry", rated, "mA", "BAT85 data sheet", 0)
    yield line("burden lost: into the pin, at most", protection.injected_a(circuit) * 1000, "mA", "through R5", 2)
    heat = max(protection.tvs_w(circuit, clamp) for clamp in circuit.clamp)
    yield line("burden lost: heat in D1", heat, "W", "P6KE6.8CA may take 5 W", 2)
    surge = protection.adaptor_surge_a(circuit, SURGE_V) * 1000
    yield line(f"{SURGE_V:.0f} V surge from the adaptor: diode", surge, "mA", "divider, then R8", 2)


def percent(*values: float) -> str:
    return "".join(f"{value * 100:>10.2f}" for value in values)


def budget_lines(circuit: Circuit, clamp: Clamp) -> Iterator[str]:
    yield f"Error budget with {clamp.name}, in % of the load, calibrated at {budget.CALIBRATED_AT:.0%} of its range"
    classes = f"MID class A {budget.MID_CLASS_A:.1%}, class B {budget.MID_CLASS_B:.1%}"
    yield f"  {classes}; likely: root of squares; known: likely, of a clamp whose curve was measured"
    heads = (*budget.Terms._fields, "worst", "likely", "known")
    for chain in budget.chains(circuit, clamp):
        for factor in (1.0, 0.5):
            yield f"  real power, {chain.name}, power factor {factor}"
            yield f"  {'load A':>8}" + "".join(f"{head:>10}" for head in heads)
            for share in LOADS:
                terms = budget.with_voltage(circuit, clamp, chain, share * clamp.rated_a, factor)
                known = budget.with_a_measured_clamp(terms, clamp).likely()
                yield f"  {share * clamp.rated_a:>8.1f}" + percent(*terms, terms.worst(), terms.likely(), known)
    yield "  clamp only: apparent power at a fixed voltage, taken for real power, power factor 0.9"
    yield f"  {'load A':>8}" + "".join(f"{head:>10}" for head in heads)
    for share in LOADS:
        terms = budget.clamp_only(circuit, clamp, share * clamp.rated_a, 0.9)
        known = budget.with_a_measured_clamp(terms, clamp).likely()
        yield f"  {share * clamp.rated_a:>8.1f}" + percent(*terms, terms.worst(), terms.likely(), known)
    bare = budget.converter_error(circuit, clamp, 0.02 * clamp.rated_a, clamp.rated_a, circuit.converter.inl_counts)
    yield line("gain, 2 % to 100 % of range, no table", bare * 100, "%", "S-shaped INL of 12 counts", 2)


def rule_lines(circuit: Circuit) -> Iterator[str]:
    every = rules(circuit)
    yield "Rules"
    for rule in every:
        verdict = "kept" if rule.kept else "BROKEN"
        yield f"  {verdict:<7}{rule.name:<52}{rule.is_:>11.4f} <={rule.most:>11.4f} {rule.unit}"
    yield f"{sum(rule.kept for rule in every)} of {len(every)} rules kept"
