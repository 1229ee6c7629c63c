"""Take my data: CSV and Green Button, read back by readers that are not ours."""

import csv
import io
import xml.etree.ElementTree as ET

import pytest
from greenbutton_objects import enums, parse
from home_bench import NOON, Home

from protocol import wire
from scripts.customer_agent.configuration import ConfigurationError
from scripts.customer_agent.espi import write_feed
from scripts.customer_agent.exporting import fetch_all, write_csv, write_new
from scripts.customer_agent.opening import Opener

ENERGIES = [(8**i, 3**i) for i in range(8)]
SPAN_S = 6 * 3600  # so that they lie on three days


@pytest.fixture
def readings(pages):
    home = Home(pages)
    rows = [home.me.row(NOON + SPAN_S * i, *energies) for i, energies in enumerate(ENERGIES)]
    home.send(*reversed(rows))
    home.send(rows[3], home.me.row(NOON + 5, 1)[:-1] + b"x")
    found, failed = fetch_all(home.portal, Opener(home.key, home.portal.sign_in()))
    assert failed == 1
    return found


def feed_of(readings, name='Our <home> & "garden"'):
    stream = io.StringIO()
    write_feed(stream, readings, "A" * 22, name, NOON)
    return stream.getvalue()


def read(text, tmp_path):
    path = tmp_path / "feed.xml"
    path.write_text(text, encoding="utf-8")
    return parse.parse_feed(path)


def test_the_table_holds_every_energy_and_register_exactly(readings):
    stream = io.StringIO(newline="")
    write_csv(stream, readings)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))
    assert [(round(float(r["import_kwh"]) * 1e6), round(float(r["export_kwh"]) * 1e6)) for r in rows] == ENERGIES
    assert rows[0]["start"] == "2026-03-01T11:59:00Z"
    assert rows[0]["end"] == "2026-03-01T12:00:00Z"
    assert rows[-1]["import_register_kwh"] == f"{sum(i for i, _ in ENERGIES) / 1e6:.6f}"
    assert rows[0]["voltage_v"] == "230.1"


def test_another_reader_of_green_button_finds_the_sealed_energies(readings, tmp_path):
    (point,) = read(feed_of(readings), tmp_path)
    assert point.serviceCategory is enums.ServiceKind.electricity
    assert point.title == 'Our <home> & "garden"'
    by_flow = {reading.readingType.flowDirection: reading for reading in point.meterReadings}
    assert set(by_flow) == {enums.FlowDirectionType.forward, enums.FlowDirectionType.reverse}
    for flow, at in ((enums.FlowDirectionType.forward, 0), (enums.FlowDirectionType.reverse, 1)):
        found = list(by_flow[flow].intervalReadings)
        assert by_flow[flow].readingType.uom is enums.UomType.wattHours
        assert by_flow[flow].readingType.accumulationBehaviour is enums.AccumulationBehaviourType.deltaData
        assert [round(one.value * 1000) for one in found] == [energies[at] for energies in ENERGIES]
        starts = [int(one.timePeriod.start.timestamp()) for one in found]
        assert starts == [NOON + SPAN_S * i - 60 for i in range(len(ENERGIES))]
        assert len(by_flow[flow].intervalBlocks) == len({start // 86_400 for start in starts}) > 1


# usage.xsd 3.3 of the Green Button Alliance: xs:sequence, so members come in this order.
SEQUENCES = {
    "ReadingType": "accumulationBehaviour commodity consumptionTier currency dataQualifier defaultQuality "
    "flowDirection intervalLength kind phase powerOfTenMultiplier timeAttribute tou uom cpp",
    "IntervalReading": "cost ReadingQuality timePeriod value consumptionTier tou cpp",
    "IntervalBlock": "interval IntervalReading",
    "timePeriod": "duration start",
    "interval": "duration start",
    "UsagePoint": "roleFlags ServiceCategory status",
    "ServiceCategory": "kind",
    "ReadingQuality": "quality",
}


def out_of_sequence(text):
    """Return the elements whose members are not in the schema's order, or unknown to it."""
    wrong = []
    for element in ET.fromstring(text).iter():
        name = element.tag.removeprefix("{http://naesb.org/espi}")
        if name in SEQUENCES:
            order = SEQUENCES[name].split()
            members = [child.tag.removeprefix("{http://naesb.org/espi}") for child in element]
            known = [order.index(member) if member in order else -1 for member in members]
            if known != sorted(known) or -1 in known:
                wrong.append((name, members))
    return wrong


def test_members_are_in_the_order_of_the_schema_and_a_wrong_one_is_seen(readings):
    doubtful = [*readings[:-1], flagged(readings[-1], wire.ESTIMATED)]
    text = feed_of(doubtful)
    assert out_of_sequence(text) == []
    assert text.count("<quality>10</quality>") == 2
    assert out_of_sequence(text.replace("commodity>", "comodity>"))
    swapped = text.replace("<kind>12</kind>", "").replace("<uom>72</uom>", "<uom>72</uom><kind>12</kind>")
    assert out_of_sequence(swapped)


def flagged(reading, quality):
    return type(reading)(reading.title, reading.salt, reading.counter, reading.detail._replace(quality=quality))


def test_entries_have_the_same_ids_again_and_each_its_own(readings):
    ids = [e.text for e in ET.fromstring(feed_of(readings)).iter("{http://www.w3.org/2005/Atom}id")]
    assert len(ids) == len(set(ids))
    assert ids == [e.text for e in ET.fromstring(feed_of(readings)).iter("{http://www.w3.org/2005/Atom}id")]


def test_files_are_for_their_owner_new_and_whole(tmp_path):
    path = tmp_path / "mine.csv"
    write_new(path, lambda stream: stream.write("a"))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="not overwritten"):
        write_new(path, lambda stream: stream.write("b"))
    assert path.read_text() == "a"

    def full(_stream):
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigurationError, match="nothing of it is kept"):
        write_new(tmp_path / "other.csv", full)
    assert not (tmp_path / "other.csv").exists()
