"""Green Button: opened readings as an ESPI file (NAESB REQ.21, Energy Services Provider Interface), to a stream.

An Atom feed (RFC 4287) whose entries are linked by `self`, `up` and `related`: a UsagePoint (the home), for each meter
and direction a MeterReading with its ReadingType, and IntervalBlocks, a UTC day each. Order and types of the members
are those of the schema `usage.xsd` 3.3 of the Green Button Alliance (OpenESPI-Common-java, Apache License 2.0).

What its codes mean here: ServiceCategory.kind 0 electricity; accumulationBehaviour 4 the energy of an interval;
commodity 1 electricity; dataQualifier 12 normal; flowDirection 1 drawn from the grid, 19 given to it; kind 12 energy;
uom 72 Wh with powerOfTenMultiplier -3, so that a value is a whole number of mWh, as measured; ReadingQuality 14 raw
(nobody has validated it), 10 questionable where the meter says that it estimated, or had no voltage to measure with.
Times are UTC seconds; LocalTimeParameters are left out.
"""

import datetime
import itertools
import uuid
from collections.abc import Iterable
from io import TextIOBase
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from protocol import wire

from .opening import Reading

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
NAMESPACE = uuid.UUID("6f7b4bb4-6a0f-5b0e-9c4e-2f4ad1f0c9a1")  # of entries' ids: the same entry has the same id again
DAY_S = 86_400
RAW, QUESTIONABLE = 14, 10
DOUBTFUL = wire.ESTIMATED | wire.APPARENT_ONLY
DIRECTIONS = (("import", 1), ("export", 19))


class _Feed:
    """Writes elements of one feed."""

    def __init__(self, stream: TextIOBase, updated: str) -> None:
        self._xml = XMLGenerator(stream, encoding="utf-8", short_empty_elements=True)
        self._updated = updated

    def begin(self, name: str, **attributes: str) -> None:
        self._xml.startElement(name, AttributesImpl(attributes))

    def end(self, name: str) -> None:
        self._xml.endElement(name)

    def text(self, name: str, value: object) -> None:
        self.begin(name)
        self._xml.characters(str(value))
        self.end(name)

    def start(self) -> None:
        self._xml.startDocument()
        self.begin("feed", xmlns=ATOM)
        self._head("feed", "Hushmeter: your own readings")

    def entry(self, href: str, title: str, related: Iterable[str] = ()) -> None:
        """Begin an entry; its content is open afterwards."""
        self.begin("entry")
        self._id(href)
        for relation, target in (("self", href), ("up", href.rpartition("/")[0]), *(("related", at) for at in related)):
            self.begin("link", rel=relation, href=target)
            self.end("link")
        self.text("title", title)
        self.begin("content", type="application/xml")

    def entry_end(self) -> None:
        self.end("content")
        self.text("published", self._updated)
        self.text("updated", self._updated)
        self.end("entry")

    def _head(self, name: str, title: str) -> None:
        self._id(name)
        self.text("title", title)
        self.text("updated", self._updated)

    def _id(self, name: str) -> None:
        self.text("id", f"urn:uuid:{uuid.uuid5(NAMESPACE, name)}")


def write_feed(stream: TextIOBase, readings: list[Reading], account: str, name: str, now: int) -> None:
    """Write readings, in order of time, as one feed; ``now`` (UTC seconds) is when the file is made."""
    feed = _Feed(stream, datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    point = f"RetailCustomer/{account}/UsagePoint/1"
    feed.start()
    feed.entry(point, name, [f"{point}/MeterReading"])
    feed.begin("UsagePoint", xmlns=ESPI)
    feed.begin("ServiceCategory")
    feed.text("kind", 0)
    feed.end("ServiceCategory")
    feed.end("UsagePoint")
    feed.entry_end()
    for title in dict.fromkeys(reading.title for reading in readings):
        of_meter = [reading for reading in readings if reading.title == title]
        for direction, flow in DIRECTIONS:
            _write_meter_reading(feed, point, of_meter, direction, flow)
    feed.end("feed")


def _write_meter_reading(feed: _Feed, point: str, readings: list[Reading], direction: str, flow: int) -> None:
    name = f"{readings[0].title.hex()}-{direction}"
    here, kind = f"{point}/MeterReading/{name}", f"ReadingType/{name}"
    feed.entry(here, f"{direction} of meter {readings[0].title.hex()}", [f"{here}/IntervalBlock", kind])
    feed.begin("MeterReading", xmlns=ESPI)
    feed.end("MeterReading")
    feed.entry_end()
    feed.entry(kind, f"{direction}, mWh of each interval")
    feed.begin("ReadingType", xmlns=ESPI)
    lengths = {reading.detail.length_s for reading in readings}
    for member, value in (
        ("accumulationBehaviour", 4),
        ("commodity", 1),
        ("dataQualifier", 12),
        ("defaultQuality", RAW),
        ("flowDirection", flow),
        ("intervalLength", lengths.pop() if len(lengths) == 1 else None),
        ("kind", 12),
        ("powerOfTenMultiplier", -3),
        ("timeAttribute", 0),
        ("uom", 72),
    ):
        if value is not None:
            feed.text(member, value)
    feed.end("ReadingType")
    feed.entry_end()
    for day, of_day in itertools.groupby(readings, key=lambda reading: _start(reading) // DAY_S):
        feed.entry(f"{here}/IntervalBlock/{day}", "")
        _write_block(feed, list(of_day), direction)
        feed.entry_end()


def _write_block(feed: _Feed, readings: list[Reading], direction: str) -> None:
    first, last = _start(readings[0]), max(reading.detail.end for reading in readings)
    feed.begin("IntervalBlock", xmlns=ESPI)
    _write_time(feed, "interval", first, last - first)
    for reading in readings:
        feed.begin("IntervalReading")
        if reading.detail.quality & DOUBTFUL:
            feed.begin("ReadingQuality")
            feed.text("quality", QUESTIONABLE)
            feed.end("ReadingQuality")
        _write_time(feed, "timePeriod", _start(reading), reading.detail.length_s)
        feed.text("value", reading.detail.import_mwh if direction == "import" else reading.detail.export_mwh)
        feed.end("IntervalReading")
    feed.end("IntervalBlock")


def _write_time(feed: _Feed, name: str, start: int, duration: int) -> None:
    feed.begin(name)
    feed.text("duration", duration)
    feed.text("start", start)
    feed.end(name)


def _start(reading: Reading) -> int:
    start: int = reading.detail.end - reading.detail.length_s
    return start
