"""What is committed is what circuit.toml makes: pictures, bill of materials, tables, arithmetic."""

import re
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from hardware.__main__ import main
from hardware.analog import bias, budget, current, filters, voltage
from hardware.bill import bill, total
from hardware.circuit import SOURCE, CircuitError, load_circuit
from hardware.products import products, stale, write
from hardware.values import engineering, value_text

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def made(circuit):
    return products(circuit)


def test_every_committed_file_is_what_the_circuit_makes(made):
    assert stale(made) == []


def test_a_changed_value_makes_pictures_bill_and_arithmetic_stale(planted):
    changed = products(planted('MFR-25FBF52-15R"\nohm = 15.0', 'MFR-25FBF52-16R"\nohm = 16.0'))
    assert set(stale(changed)) == {
        "pictures/schematic.svg", "pictures/board.svg", "pictures/clamp.svg", "bill-of-materials.md", "arithmetic.md",
    }  # fmt: skip


def test_a_file_that_was_edited_by_hand_is_found_and_made_anew(made, tmp_path):
    assert set(write(made, tmp_path)) == set(made)
    (tmp_path / "wiring.md").write_text("edited")
    assert stale(made, tmp_path) == ["wiring.md"]
    assert write(made, tmp_path) == ["wiring.md"]
    assert stale(made, tmp_path) == []


def test_making_twice_gives_the_same_bytes(circuit, made):
    assert products(circuit) == made


def test_pictures_are_white_below_and_show_every_part(circuit, made):
    for name, text in made.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(text)
            paper = next(root.iter(f"{SVG}rect"))
            assert paper.get("fill") in ("white", "#ffffff"), name
            assert paper.get("width") == root.get("width"), name
    for name, of in (("schematic", ("clamp", "voltage")), ("isolated", ("ZMPT101B",))):
        text = " ".join(ElementTree.fromstring(made[f"pictures/{name}.svg"]).itertext())
        for reference, part in circuit.part.items():
            if part.of in of and not reference.startswith(("X", "CT1B")):
                assert re.search(rf"\b{reference}\b", text), (name, reference)
                if part.ohm or part.farad:
                    assert value_text(part) in text, reference


def test_no_picture_names_a_time_or_a_machine(made):
    for text in made.values():
        assert not re.search(r"\d\d:\d\d:\d\d|/home/|/work/|/tmp/", text)


# --- Bill of materials ------------------------------------------------------------------------------------------

YAGEO = re.compile(r"MFR-25FBF52-(\d+)([RKM])(\d*)\Z")


def test_a_resistors_number_says_its_value(circuit):
    """MFR-25FBF52-1K5: the letter is the decimal point and the factor. F is 1 %."""
    checked = 0
    for reference, part in circuit.part.items():
        if part.maker == "Yageo":
            whole, letter, rest = YAGEO.match(part.number).groups()
            assert float(f"{whole}.{rest or 0}") * {"R": 1, "K": 1e3, "M": 1e6}[letter] == part.ohm, reference
            assert (part.tolerance, part.rated_w) == (0.01, 0.25), reference
            checked += 1
    assert checked >= 12


def test_resistors_can_be_bought(circuit):
    """IEC 60063, series E24."""
    e24 = {10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91}
    for part in circuit.part.values():
        if part.ohm:
            digits = f"{part.ohm:.1e}"
            assert round(float(digits.partition("e")[0]) * 10) in e24, part.number
            assert float(digits) == part.ohm, part.number


def test_one_number_is_one_value_and_one_price(circuit):
    seen = {}
    for part in circuit.part.values():
        assert seen.setdefault((part.maker, part.number), (part.ohm, part.farad, part.price)) == (
            part.ohm, part.farad, part.price,
        )  # fmt: skip


def test_the_two_budgets_are_the_sums_of_their_parts(circuit):
    page = bill(circuit)
    small = round(total(circuit, "clamp"), 2)
    large = round(sum(part.price for part in circuit.part.values() if part.of in ("clamp", "voltage")), 2)
    assert f"| {small:.2f} EUR |" in page
    assert f"| {large:.2f} EUR |" in page
    assert "estimates" in page


def test_every_part_is_on_the_bill_once(circuit):
    rows = re.findall(r"^\| ((?:[A-Z]+\d+[AB]?(?:, )?)+) \| (\d+) \|", bill(circuit), re.M)
    listed = [name for names, pieces in rows for name in names.split(", ")]
    assert sorted(listed) == sorted(circuit.part)
    assert sum(int(pieces) for _, pieces in rows) == len(circuit.part)


def test_values_read_as_people_write_them():
    assert [engineering(value, "Ω") for value in (15, 150, 1300, 100e3)] == ["15 Ω", "150 Ω", "1.3 kΩ", "100 kΩ"]
    assert [engineering(value, "F") for value in (100e-6, 100e-9, 12e-12)] == ["100 µF", "100 nF", "12 pF"]


# --- Commands and bad input -------------------------------------------------------------------------------------


def test_the_command_prints_the_committed_arithmetic():
    result = CliRunner().invoke(main, ["analog"])
    assert result.exit_code == 0
    assert result.output in (SOURCE.parent / "arithmetic.md").read_text()
    assert "rules kept" in result.output.splitlines()[-1]


def test_check_says_that_nothing_is_to_be_made():
    result = CliRunner().invoke(main, ["draw", "--check"])
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rail_v = 3.3", 'rail_v = "3.3"', r"\$\.supply\.rail_v"),
        ("rail_v = 3.3", "rail_v = 3.3\nrale_v = 5.0", r"unknown field `rale_v`"),
        ("rail_v = 3.3", "", r"missing required field `rail_v`"),
        ("rail_v = 3.3", "rail_v = ", r"Invalid value"),
    ],
)
def test_a_circuit_that_cannot_be_used_is_refused_with_its_place(planted, old, new, said):
    with pytest.raises(CircuitError, match=said):
        planted(old, new)


def test_a_part_that_is_asked_for_and_missing_is_named():
    text = SOURCE.read_text().replace("[part.R4]", "[part.R44]")
    with pytest.raises(CircuitError, match="part R4 must be there"):
        load_circuit(text).ohm("R4")


# --- The page -------------------------------------------------------------------------------------------------

README = SOURCE.parent / "README.md"


def said(pattern):
    """Return the numbers that a line of the page states."""
    (found,) = re.findall(pattern.replace(" ", r"\s+"), README.read_text(), re.M)
    return [float(number) for number in (found if isinstance(found, tuple) else (found,))]


def test_the_page_states_the_figures_of_the_arithmetic(circuit):
    wide, narrow = circuit.clamp
    cell = r" \| ([\d.]+) \w+ \| ([\d.]+) \w+ \|$"
    of_both = [
        ("full scale, sine", lambda clamp: current.full_scale_a(circuit, clamp, current.SINE), 1),
        ("full scale, crest factor 3", lambda clamp: current.full_scale_a(circuit, clamp, current.PEAKY), 1),
        ("one count of the converter", lambda clamp: current.count_a(circuit, clamp) * 1000, 1),
        ("resolved with a voltage channel in 1 s", lambda clamp: current.resolved_a(circuit, clamp) * 230, 2),
    ]
    for name, figure, digits in of_both:
        assert said(rf"^\| {name}{cell}") == [round(figure(wide), digits), round(figure(narrow), digits)], name
    span = bias.bias_v(circuit)
    assert said(r"must read ([\d.]+) to ([\d.]+) V") == [round(span.low, 2), round(span.high, 2)]
    assert said(r"must not exceed ([\d.]+) V AC") == [round(voltage.highest_open_v(circuit, bias.room_v(circuit)), 1)]
    assert said(r"there are ([\d.]+) mV AC per ampere") == [round(current.volt_per_ampere(circuit, wide) * 1000, 1)]
    assert said(r"noise alone is (\d+) mA") == [round(current.noise_a(circuit, wide) * 1000)]
    assert said(r"alone would feign ([\d.]+) mA") == [
        round(filters.crosstalk_a(circuit, wide, 230, circuit.farad("C4")) * 1000, 1)
    ]
    assert said(r"^\| estimate of the parts' price \| ([\d.]+) EUR \| ([\d.]+) EUR") == [
        round(total(circuit, "clamp"), 2),
        round(total(circuit, "clamp") + total(circuit, "voltage"), 2),
    ]


def test_the_page_states_the_budget_of_the_arithmetic(circuit):
    every = [
        budget.with_voltage(circuit, clamp, chain, share * clamp.rated_a, 1.0)
        for clamp in circuit.clamp
        for chain in budget.chains(circuit, clamp)
        for share in (0.05, 0.10, 0.20, 0.50, 1.00)
    ]
    known = [budget.with_a_measured_clamp(terms, circuit.clamp[0]).likely() for terms in every]
    assert said(r"come to ([\d.]+) % as independent errors at most, and to ([\d.]+) % if all") == [
        round(max(terms.likely() for terms in every) * 100, 2),
        round(max(terms.worst() for terms in every) * 100, 2),
    ]
    (alone,) = said(r"power factor 0\.9 and 1 \| (\d+) %")
    assert alone == round(budget.clamp_only(circuit, circuit.clamp[0], 20, 0.9).likely() * 100)
    assert said(r"whose curve was measured they come to ([\d.]+) %") == [round(max(known) * 100, 2)]


def beside(one, other):
    return one * other / (one + other)


def test_the_checks_without_power_are_the_resistors_of_the_circuit(circuit):
    """Nothing is plugged in, so that the jack's contact is closed: R15 lies between 3V3 and ground."""
    ohm = circuit.ohm
    divider = ohm("R2") + ohm("R3")
    assert said(r"^   \| 3V3 and GND \| ([\d.]+) kΩ, .*; ([\d.]+) kΩ with a plug in J1") == [
        round(beside(divider, ohm("R15")) / 1000, 2), divider / 1000,
    ]  # fmt: skip
    assert said(r"^   \| BIAS and GND \| ([\d.]+) kΩ") == [round(beside(ohm("R3"), ohm("R2") + ohm("R15")) / 1000, 2)]
    top = beside(ohm("R2"), ohm("R3") + ohm("R15"))
    assert said(r"^   \| J2 pin and J2 sleeve \| ([\d.]+) kΩ") == [(ohm("R6") + ohm("R7")) / 1000]
    paths = [top + ohm(burden) + ohm("R4") + ohm("R5") for burden in ("R1A", "R1B")]
    paths.append(top + ohm("R7") + ohm("R8") + ohm("R9"))
    stated = said(r"then 35 \| ([\d.]+) kΩ \(R1A\) or ([\d.]+) kΩ \(R1B\), then ([\d.]+) kΩ")
    for number, path in zip(stated, paths, strict=True):
        assert abs(number * 1000 - path) < 20
