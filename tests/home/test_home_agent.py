"""The customer's agent against the real portal: what it signs in with, what it publishes, and what it survives."""

import pytest
from home_bench import NOON, Home
from mdms_bench import DEPLOYMENT

from mdms.records.sealed import keep_envelopes
from protocol import wire
from protocol.documents import public_key_bytes, to_base64url
from scripts.customer_agent.portal import Refused, Response


def test_the_newest_register_is_published_exactly(home):
    home.send(home.me.row(NOON, 123_456, 7), home.me.row(NOON + 60, 1, 0))
    home.settle()
    (state,) = home.broker.states()
    assert state["import_kwh"] == pytest.approx(0.123457, abs=1e-12)
    assert b'"import_kwh":0.123457,' in home.broker.messages[-1].payload
    assert b'"export_kwh":0.000007,' in home.broker.messages[-1].payload
    assert state["read_at"] == "2026-03-01T12:01:00+00:00"


def test_registers_of_many_readings_add_up_to_what_was_sealed(home):
    for i in range(10):
        home.send(home.me.row(NOON + 60 * i, 8**i, 3**i))
        home.settle()
    assert [round(state["import_kwh"] * 1e6) for state in home.broker.states()] == [
        sum(8**j for j in range(i + 1)) for i in range(10)
    ]
    assert round(home.broker.states()[-1]["export_kwh"] * 1e6) == sum(3**j for j in range(10))


def test_nothing_is_published_before_everything_was_looked_at(home, monkeypatch):
    """Rows come in the order of their arrival: the first page's last one is not the newest."""
    monkeypatch.setattr("mdms.portal.questions.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("mdms.portal.rows.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("mdms.portal.questions.rows_behind.__defaults__", (2,))
    rows = [home.me.row(NOON + 60 * i, 1) for i in range(5)]
    home.send(*rows)
    home.settle()
    assert len(home.broker.states()) == 1
    assert home.broker.states()[0]["import_kwh"] == 5e-06


def test_a_late_row_does_not_take_the_registers_back(home):
    early, late = home.me.row(NOON, 100), home.me.row(NOON + 60, 100)
    home.send(late)
    home.settle()
    home.send(early)
    home.settle()
    assert [state["import_kwh"] for state in home.broker.states()] == [0.0002]


def test_a_row_changed_in_the_middle_is_counted_said_and_left_out(home):
    rows = [home.me.row(NOON + 60 * i, 1_000_000) for i in range(3)]
    rows[1] = rows[1][:50] + bytes([rows[1][50] ^ 1]) + rows[1][51:]
    home.send(*rows)
    home.settle()
    assert [state["import_kwh"] for state in home.broker.states()] == [3]
    assert (home.follower.opened, home.follower.failed) == (2, 1)
    assert "do not open" in home.said()


def test_power_and_the_rest_are_of_the_newest_row(home):
    home.send(home.me.row(NOON, 1000, 4000, length=60))
    home.settle()
    assert len(home.broker.configs()) == 7
    (state,) = home.broker.states()
    assert state["power_w"] == -180
    assert (state["voltage_v"], state["current_a"], state["power_factor"]) == (230.1, 1.45, 0.987)


def test_power_of_hours_ago_is_not_shown_as_now_and_registers_are(home):
    """By the server's clock: this machine's is not asked for the time at all."""
    home.transport.date = NOON + 901
    home.send(home.me.row(NOON, 1000, 4000))
    home.settle()
    (state,) = home.broker.states()
    assert [state[name] for name in ("power_w", "voltage_v", "current_a", "power_factor")] == [None] * 4
    assert (state["import_kwh"], state["export_kwh"]) == (0.001, 0.004)


def test_another_customers_key_is_refused_at_the_first_sign_in(pages):
    home = Home(pages, key=pages.other.key)
    with pytest.raises(Refused, match="do not belong together"):
        home.settle()
    assert not any("answer.json" in path for path in home.transport.asked)


def test_an_account_that_does_not_exist_is_refused_alike(pages):
    with pytest.raises(Refused, match="do not belong together"):
        Home(pages, account="A" * 22).settle()


def test_an_answer_is_bound_to_the_configured_origin(pages):
    """A server elsewhere that passes a challenge on gets no answer."""
    with pytest.raises(Refused, match="do not belong together"):
        Home(pages, origin="http://127.0.0.1").settle()


def test_a_session_that_ends_is_begun_again_by_itself(home):
    home.send(home.me.row(NOON, 1))
    home.settle()
    home.transport.client = home.pages.client()  # without its cookies
    home.send(home.me.row(NOON + 60, 1))
    home.settle()
    assert [state["import_kwh"] for state in home.broker.states()] == [1e-06, 2e-06]
    assert sum(path.endswith("answer.json") for path in home.transport.asked) == 2


def test_cookies_that_do_not_hold_are_no_busy_loop(home):
    home.transport.answers["/portal/accounts/"] = [Response(401, {}, b"{}")] * 50
    waits = [home.settle(1) for _ in range(4)]
    assert min(waits) > 0
    home.now += 10_000
    before = len(home.transport.asked)
    home.step()
    assert len(home.transport.asked) - before <= 4


def test_a_server_that_is_gone_is_asked_less_and_less_and_found_again(home):
    home.send(home.me.row(NOON, 1))
    home.settle()
    home.transport.down = True
    pauses = []
    for _ in range(9):
        pauses.append(home.settle(10_000))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    home.transport.down = False
    home.send(home.me.row(NOON + 60, 1))
    home.settle(10_000)
    assert home.broker.states()[-1]["import_kwh"] == 2e-06
    assert home.said().count("cannot be reached") == 1


def test_the_wait_that_a_server_asks_for_is_kept(home):
    home.transport.answers["/portal/challenge.json"] = [Response(429, {"retry-after": "77"}, b"")]
    assert home.settle() == 77
    home.settle(76)
    assert sum("challenge" in path for path in home.transport.asked) == 1


def test_a_refusal_later_on_is_said_and_tried_again(home):
    home.send(home.me.row(NOON, 1))
    home.settle()
    home.transport.client = home.pages.client()
    home.transport.answers["/portal/answer.json"] = [Response(403, {}, b"{}")]
    assert home.settle() == 900
    home.send(home.me.row(NOON + 60, 1))
    home.settle(901)
    assert home.broker.states()[-1]["import_kwh"] == 2e-06


def test_a_broker_that_was_gone_gets_the_newest_and_nothing_older(home):
    home.send(home.me.row(NOON, 1))
    home.settle()
    home.broker.up = False
    for i in range(1, 4):
        home.send(home.me.row(NOON + 60 * i, 1))
        home.settle()
    assert len(home.broker.states()) == 1
    home.broker.up = True
    home.broker.messages.clear()
    home.settle()
    assert [state["import_kwh"] for state in home.broker.states()] == [4e-06]
    assert len(home.broker.configs()) == 7


def test_home_assistants_birth_has_everything_told_again(home):
    home.send(home.me.row(NOON, 1))
    home.settle()
    home.broker.messages.clear()
    home.settle()
    assert home.broker.messages == []
    home.broker.asked = True
    home.settle()
    assert (len(home.broker.configs()), len(home.broker.states())) == (7, 1)


def test_a_restart_begins_behind_the_kept_number_and_still_knows_the_newest(pages, tmp_path):
    kept = tmp_path / "arrival"
    home = Home(pages, arrival_file=kept)
    home.send(home.me.row(NOON, 1))
    home.settle()
    late = home.me.row(NOON + 60, 1)
    home.send(home.me.row(NOON + 120, 1))
    home.settle()
    again = Home(pages, arrival_file=kept)
    home.send(late)
    again.settle()
    assert [state["import_kwh"] for state in again.broker.states()] == [3e-06]
    assert again.follower.opened == 2
    assert kept.read_text().strip().isdigit()


@pytest.mark.parametrize("text", ["999999999999", "-1", "", "x" * 100, "99999999999999999999999"])
def test_a_kept_number_that_is_wrong_costs_time_and_nothing_else(pages, tmp_path, text):
    kept = tmp_path / "arrival"
    kept.write_text(text)
    home = Home(pages, arrival_file=kept)
    home.send(home.me.row(NOON, 1))
    home.settle()
    assert [state["import_kwh"] for state in home.broker.states()] == [1e-06]


def test_a_replaced_meter_is_a_device_of_its_own(pages, bench):
    home = Home(pages)
    home.send(home.me.row(NOON, 5_000_000))
    home.settle()
    old = dict(home.broker.configs())
    me = home.me
    me.title, me.counter, me.import_mwh = b"METER900", 0, 4_900_000
    keep_envelopes(pages.store, {me.account: me.envelope(bench.operator)})
    home.transport.client = pages.client()
    home.send(me.row(NOON + 60, 1_000))
    home.settle()
    new = {topic: config for topic, config in home.broker.configs().items() if topic not in old}
    assert len(new) == 7
    assert {config["unique_id"] for config in new.values()}.isdisjoint(c["unique_id"] for c in old.values())
    assert home.broker.messages[-1].topic == f"hushmeter/{me.title.hex()}/state"
    assert home.broker.states()[-1]["import_kwh"] == 4.901


def test_the_operators_signature_on_the_envelope_is_verified_where_its_key_is_given(pages, bench):
    home = Home(pages, deployment=DEPLOYMENT, operator_key=to_base64url(public_key_bytes(bench.operator)))
    home.send(home.me.row(NOON, 1))
    home.settle()
    assert len(home.broker.states()) == 1
    forged = Home(pages, deployment=DEPLOYMENT, operator_key=to_base64url(public_key_bytes(bench.log_key)))
    with pytest.raises(Refused, match="not the operator's"):
        forged.settle()


def test_an_envelope_of_another_key_is_refused(pages, bench):
    """A server that gives another customer's envelope."""
    home = Home(pages)
    theirs = pages.as_customer(pages.other).get(f"/portal/accounts/{pages.other.account}/envelope.json")
    home.transport.answers[f"/portal/accounts/{home.me.account}/envelope"] = [Response(200, {}, theirs.get_data())]
    with pytest.raises(Refused, match="another key or account"):
        home.settle()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"rows":"AAAA","next":1,"more":false}',
        b'{"rows":"!","next":1,"more":false}',
        b'{"rows":"","next":0,"more":true}',
        b'{"rows":"","next":-1,"more":false}',
        b'{"rows":"","next":1e99,"more":false}',
    ],
)
def test_an_answer_that_is_no_portals_is_trouble_and_never_a_loop(home, answer):
    home.transport.answers["/portal/accounts/" + home.me.account + "/rows"] = [Response(200, {}, answer)] * 3
    assert home.settle() > 0
    assert "server not usable" in home.said()
    home.send(home.me.row(NOON, 1))
    for _ in range(3):
        home.settle(1000)
    assert len(home.broker.states()) == 1


def test_no_energy_and_no_key_is_logged_or_shown(home):
    home.send(home.me.row(NOON, 123_456_789))
    home.settle()
    reading = home.follower.newest
    shown = home.said() + repr(reading) + repr(home.broker.messages)
    assert "123456789" not in shown and "123.456" not in shown
    assert home.key.export_key(format="PEM") not in shown


def test_what_is_sent_to_the_server_holds_nothing_that_was_opened(home):
    bodies = []
    send = home.transport.send
    home.transport.send = lambda path, body, headers: bodies.append((path, body)) or send(path, body, headers)
    home.send(home.me.row(NOON, 123_456_789))
    home.settle()
    home.settle()
    assert {path for path, _ in bodies} == {"/portal/challenge.json", "/portal/answer.json"}
    allowed = {"/portal/", *(path for path, _ in bodies)}
    own = f"/portal/accounts/{home.me.account}/"
    for path in home.transport.asked:
        assert path in allowed or path == own + "envelope.json" or path.startswith(own + "rows.json?after="), path


def test_a_sensor_that_was_announced_stays_when_a_row_lacks_its_value(home):
    home.send(home.me.row(NOON, 1))
    home.settle()
    opened = home.follower.newest
    blind = type(opened)(
        opened.title, opened.salt, opened.counter + 1, opened.detail._replace(decivolts=wire.NOT_MEASURED)
    )
    home.follower._newest = blind
    home.broker.messages.clear()
    home.settle()
    assert home.broker.configs() == {}
    assert home.broker.states()[-1]["voltage_v"] is None
