"""A home: the agent's parts around a Flask client instead of HTTP, and a broker that writes down what it is given."""

import email.utils
import json

import structlog
from mdms_bench import MARCH
from pages_bench import BenchPages

from scripts.customer_agent import home_assistant
from scripts.customer_agent.agent import Agent, Follower
from scripts.customer_agent.opening import Opener
from scripts.customer_agent.portal import Portal, Response, Unreachable

ORIGIN = "http://localhost"
NOON = MARCH + 12 * 3600
SETTINGS = home_assistant.Home("hushmeter", "homeassistant", "Our meter", "en", 900)


class FlaskTransport:
    """A server in this process. `down` and `answers` make it fail: the next answers of paths that begin so."""

    def __init__(self, pages: BenchPages):
        self.pages = pages
        self.client = pages.client()
        self.down = False
        self.date = NOON
        self.answers = {}
        self.asked = []

    def _answer(self, path, ask):
        self.asked.append(path)
        if self.down:
            raise Unreachable("the server cannot be reached: ConnectionError")
        for begins, given in self.answers.items():
            if path.startswith(begins) and given:
                return given.pop(0)
        answer = ask()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        headers["date"] = email.utils.formatdate(self.date, usegmt=True)
        return Response(answer.status_code, headers, answer.get_data())

    def ask(self, path):
        return self._answer(path, lambda: self.client.get(path))

    def send(self, path, body, headers):
        return self._answer(
            path, lambda: self.client.post(path, data=body, content_type="application/json", headers=headers)
        )


class Notebook:
    """A broker as the agent needs one; `up` may be switched, `asked` is Home Assistant's birth."""

    def __init__(self):
        self.up = True
        self.connected = False
        self.asked = False
        self.messages = []

    def connect(self, _now):
        if self.up == self.connected:
            return None if self.up else "it cannot be reached: ConnectionRefusedError"
        self.connected = self.up
        return "" if self.up else "it cannot be reached: ConnectionRefusedError"

    def due(self, _now):
        return 1.0

    def was_asked(self):
        asked, self.asked = self.asked, False
        return asked

    def publish(self, message):
        self.messages.append(message)

    def states(self):
        return [json.loads(message.payload) for message in self.messages if message.topic.endswith("/state")]

    def configs(self):
        return {
            message.topic: json.loads(message.payload) for message in self.messages if message.topic.endswith("/config")
        }


class Home:
    """One customer's agent; `customer`, `account` and `key` may be somebody else's."""

    def __init__(self, pages, *, key=None, account=None, arrival_file=None, origin=ORIGIN, **portal):
        self.pages = pages
        self.me = pages.me
        self.transport = FlaskTransport(pages)
        self.key = key or pages.me.key
        self.portal = Portal(self.transport, origin, account or pages.me.account, self.key, **portal)
        self.broker = Notebook()
        self.log = structlog.testing.CapturingLogger()
        self.follower = Follower(self.portal, lambda envelope: Opener(self.key, envelope), arrival_file, self.log)
        self.agent = Agent(self.follower, self.broker, SETTINGS, 5, self.log)
        self.now = 1000.0

    def send(self, *rows):
        """Have the meter's rows arrive at the server."""
        self.pages.ingest(self.me.segment(list(rows)))

    def step(self, seconds=0):
        """Let time pass and one step be done; returns when the next is due."""
        self.now += seconds
        return self.agent.step(self.now)

    def settle(self, seconds=5):
        """Step until nothing is due at once."""
        wait = self.step(seconds)
        for _ in range(100):
            if wait > 0:
                return wait
            wait = self.step()
        raise AssertionError("there is always something due")

    def said(self):
        """Everything that was logged, as text."""
        return "\n".join(f"{call.method_name} {call.args} {call.kwargs}" for call in self.log.calls)
