"""The API is sent what its own description allows and what it does not, with and without a token: never a 5xx.

Schemathesis makes the requests from the OpenAPI document. HUSHMETER_API_REQUESTS says how many there are in all.
"""

import os
from collections import Counter

import pytest
import schemathesis
from api_bench import BenchApi
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

REQUESTS = int(os.environ.get("HUSHMETER_API_REQUESTS", "20000"))
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
ASKERS = (None, "supplier", "operator", "third-party", "auditor", "third party of north")
# What has too few different requests to fill its share leaves the rest to these.
ENDLESS = ("/api/v1/reports", "/api/v1/neighbourhoods/{name}/loads", "/api/v1/bills")


@pytest.fixture(scope="module")
def api(bench, tmp_path_factory):
    api = BenchApi(bench, tmp_path_factory.mktemp("schema"))
    api.fill()
    api.log_line("an entry")
    yield api
    api.close()


def send(api, operation, token, requests, found):
    """Send a number of made-up requests of one operation; ``found`` counts them by status."""

    @settings(
        max_examples=requests,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def one(case):
        headers = {"Authorization": f"Bearer {api.tokens[token]}"} if token else {}
        if "name" in case.path_parameters and found.total() % 2:
            # A made-up name is hardly ever a neighbourhood's.
            case.path_parameters["name"] = "north"
        response = case.call(headers=headers)
        found[response.status_code] += 1
        # What a description's reader must be able to rely on, whoever asks.
        case.validate_response(response, checks=CHECKS)

    one()


@pytest.mark.timeout(1800)
def test_nothing_that_is_sent_makes_the_api_fail(api):
    api.app.config["PROPAGATE_EXCEPTIONS"] = False
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", api.app)
    operations = [each.ok() for each in schema.get_all_operations()]
    assert {each.path for each in operations} >= set(ENDLESS)
    found = Counter()
    share = max(1, REQUESTS // (len(operations) * len(ASKERS)))
    for token in ASKERS:
        for operation in operations:
            send(api, operation, token, share, found)
    endless = [(each, token) for each in operations if each.path in ENDLESS for token in ASKERS]
    while (missing := REQUESTS - found.total()) > 0:
        for operation, token in endless:
            send(api, operation, token, -(-missing // len(endless)), found)
    failed = sum(number for status, number in found.items() if status >= 500)
    print(f"schemathesis: {found.total():,} requests, {failed} of 5xx; by status {dict(sorted(found.items()))}")
    assert failed == 0
    assert found.total() >= REQUESTS
    assert {200, 400, 401, 403, 404} <= set(found), "requests of every kind were made"


def test_a_planted_failure_is_seen(api, monkeypatch):
    def fail(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr("mdms.api.loads.chosen_days", fail)
    api.app.config["PROPAGATE_EXCEPTIONS"] = False
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", api.app)
    operation = schema["/api/v1/neighbourhoods/{name}/loads"]["GET"]
    monkeypatch.setattr("mdms.api.loads.known", lambda *_: "north")
    # As an answer or as the exception itself: the client lets it through.
    with pytest.raises((FailureGroup, RuntimeError), match=r"500|planted"):
        send(api, operation, "supplier", 200, Counter())
