"""Our own vectors (tests/vectors) on both interpreters: frames, rows, lines and keys, over the firmware's own CCM."""

import json
from binascii import hexlify, unhexlify

from firmware.meter.counter import BLOCK, Counter, pack
from firmware.meter.seal import Ccm
from protocol import keychain, wire

ROOT = __file__.rsplit("/", 3)[0] if __file__.count("/") > 2 else "."
CCM = Ccm()
REFUSALS = {"malformed": wire.Malformed, "forged": wire.Forged}


def load(name):
    with open(ROOT + "/tests/vectors/" + name) as file:
        return json.load(file)


def unhex(text):
    return unhexlify(text)


def number(text):
    return int(text, 16)


def joined(fields):
    return unhex("".join(value for _, value in fields))


def refusal(call, *arguments):
    """Return the kind of WireError or ValueError with which a call refuses, or None."""
    try:
        call(*arguments)
    except wire.WireError as error:
        return type(error)
    except ValueError:
        return ValueError
    return None


def header_of(fields):
    values = dict(fields)
    return wire.Header(
        number(values["type"]),
        unhex(values["system title"]),
        number(values["epoch"]),
        unhex(values["boot salt"]),
        number(values["invocation counter"]),
    )


def signed(value, bits):
    return value - (1 << bits) if value >> bits - 1 else value


def numbers(fields):
    return [number(value) for _, value in fields]


def packed_again(kind, fields):
    """Parse a body, pack what came out and check it against the vector's fields; returns the bytes."""
    body = joined(fields)
    if kind == wire.READING:
        reading = wire.parse_reading(body)
        assert list(reading) == numbers(fields)
        return wire.pack_reading(reading)
    if kind == wire.HELLO:
        reason, challenge = wire.parse_hello(body)
        assert [reason, challenge] == [number(fields[0][1]), unhex(fields[1][1])]
        return wire.pack_hello(reason, challenge)
    if kind == wire.EVENT:
        event = wire.parse_event(body)
        assert list(event[:3]) == numbers(fields[:3])
        assert event.text.encode() == unhex(fields[3][1].rstrip("0") + "0" * (len(fields[3][1].rstrip("0")) % 2))
        return wire.pack_event(event)
    if kind == wire.CONFIG:
        config = wire.parse_config(body)
        assert list(config) == numbers(fields)
        return wire.pack_config(config)
    if kind == wire.TIME:
        utc_ms, challenge = wire.parse_time(body)
        assert [utc_ms, challenge] == [number(fields[0][1]), unhex(fields[1][1])]
        return wire.pack_time(utc_ms, challenge)
    if kind == wire.ACK:
        ranges = wire.parse_ack(body)
        assert [item for each in ranges for item in each[1:]] == [
            number(value) for name, value in fields if name != "salt"
        ]
        assert [each.salt for each in ranges] == [unhex(value) for name, value in fields if name == "salt"]
        return wire.pack_ack(ranges)
    return body


def detail_of(fields):
    values = numbers(fields)
    values[8] = signed(values[8], 16)
    return wire.Detail(*values)


def opener(direction):
    return wire.open_uplink if direction == "up" else wire.open_downlink


def test_every_frame_of_the_vectors_opens_to_its_header_and_body():
    for case in load("frames.json")["frames"]:
        key, frame = unhex(case["key"]), unhex(case["frame"])
        assert joined(case["fields"]) == frame
        header, body = opener(case["direction"])(CCM, key, frame)
        assert (header, body) == (header_of(case["fields"][:6]), unhex(case["body"])), case["name"]


def test_every_frame_of_the_vectors_is_sealed_to_the_same_bytes():
    for case in load("frames.json")["frames"]:
        key, body = unhex(case["key"]), unhex(case["body"])
        header = header_of(case["fields"][:6])
        if case["direction"] == "up":
            nonce = wire.uplink_nonce(wire.LAYER_HOP, header.salt, header.counter)
            frame = wire.seal_uplink(CCM, key, header, body)
        else:
            random = unhex(case["fields"][6][1])
            nonce = bytes((wire.LAYER_DOWN,)) + random
            frame = wire.seal_downlink(CCM, key, header, body, random)
        assert nonce == unhex(case["nonce"])
        assert frame == unhex(case["frame"]), case["name"]


def test_every_body_of_the_vectors_comes_back_as_it_went():
    for case in load("frames.json")["frames"]:
        kind = number(case["fields"][1][1])
        assert packed_again(kind, case["body_fields"]) == unhex(case["body"]), case["name"]


def test_every_refused_frame_of_the_vectors_is_refused_as_they_say():
    cases = load("frames.json")["refused"]
    assert len(cases) > 20
    for case in cases:
        found = refusal(opener(case["direction"]), CCM, unhex(case["key"]), unhex(case["frame"]))
        assert found == REFUSALS[case["refused"]], case["because"]


def test_every_refused_body_of_the_vectors_is_malformed():
    parsers = {
        "reading": wire.parse_reading,
        "detail": wire.parse_detail,
        "hello": wire.parse_hello,
        "event": wire.parse_event,
        "config": wire.parse_config,
        "time": wire.parse_time,
        "ack": wire.parse_ack,
    }
    cases = load("frames.json")["refused_bodies"]
    assert {case["body_of"] for case in cases} == set(parsers)
    for case in cases:
        found = refusal(parsers[case["body_of"]], unhex(case["body"]))
        assert found == wire.Malformed, (case["body_of"], case["because"])


def test_every_row_of_the_vectors_opens_and_is_sealed_to_the_same_bytes():
    for case in load("rows.json")["rows"]:
        key, row = unhex(case["key"]), unhex(case["row"])
        header, detail = header_of(case["fields"][:6]), detail_of(case["body_fields"])
        assert joined(case["fields"]) == row
        assert wire.open_row(CCM, key, row) == (header, detail), case["name"]
        body = wire.pack_detail(detail)
        assert body == joined(case["body_fields"])
        assert wire.pack_header(header) + wire.seal_detail(CCM, key, header, body) == row


def test_every_refused_row_of_the_vectors_is_refused_as_they_say():
    for case in load("rows.json")["refused"]:
        found = refusal(wire.open_row, CCM, unhex(case["key"]), unhex(case["row"]))
        assert found == REFUSALS[case["refused"]], case["because"]


def test_every_frame_of_the_vectors_goes_on_the_line_as_the_same_bytes():
    for case in load("link.json")["lines"]:
        assert wire.encode_link(unhex(case["frame"])) == unhex(case["line"]), case["name"]


def test_every_stream_of_the_vectors_is_cut_into_the_same_frames():
    for case in load("link.json")["streams"]:
        deframer = wire.Deframer()
        for piece in case["pieces"]:
            deframer.feed(unhex(piece))
        found = [hexlify(frame).decode() for frame in deframer]
        assert (found, deframer.corrupt) == (case["frames"], case["corrupt"]), case["name"]


def test_every_chain_value_and_key_of_the_vectors_is_derived_alike():
    vectors = load("keychain.json")
    for name, labels in (
        ("hop", (("up", keychain.UP), ("down", keychain.DOWN))),
        ("customer", (("detail", keychain.DETAIL),)),
    ):
        book = vectors[name]
        first = keychain.Chain(book["enrolment"], keychain.first_chain(unhex(book["root"])))
        for day in book["chains"]:
            chain = first.at(day["epoch"])
            assert (chain.epoch, chain.value) == (day["epoch"], unhex(day["chain"]))
            for member, label in labels:
                assert chain.key(label) == unhex(day[member])


def test_the_clock_keys_of_the_vectors_are_derived_alike():
    hop = load("keychain.json")["hop"]
    assert keychain.clock_keys(unhex(hop["root"])) == (unhex(hop["hello"]), unhex(hop["time"]))


class Reserved:
    """A storage in which numbers up to ``reserved`` minus a block have been reserved."""

    def __init__(self, reserved):
        self._data = pack(reserved - BLOCK)

    def read(self, name):
        return self._data

    def replace(self, name, data):
        self._data = data


def test_the_boot_salts_of_the_vectors_are_the_meters():
    for case in load("keychain.json")["salts"]:
        random = unhex(case["random"])
        message = joined(case["fields"])
        assert message == keychain.SALT + case["reserved"].to_bytes(8, "big") + random
        assert keychain.hmac_sha256(unhex(case["secret"]), message)[:4] == unhex(case["salt"])
        meter = Counter(Reserved(case["reserved"]), unhex(case["secret"]), lambda count, fixed=random: fixed[:count])
        assert meter.salt == unhex(case["salt"])


def test_every_refused_key_of_the_vectors_is_refused():
    for case in load("keychain.json")["refused"]:
        if "root" in case:
            found = refusal(keychain.first_chain, unhex(case["root"]))
        else:
            found = refusal(keychain.Chain(case["from"], unhex(case["chain"])).at, case["to"])
        assert found is ValueError, case["because"]
