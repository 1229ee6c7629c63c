"""Every route x every role x a foreign object: nobody is given what is not for them, whatever routes there are."""

import json

import pytest
from api_bench import SOUTH_MWH, BenchApi
from mdms_bench import DAY, MARCH

from mdms.accounts.tokens import add_token, revoke_token

# By blueprint: who may ask at all. Whoever adds a blueprint says here for whom it is, and nobody else gets in.
ROLES = {
    "api_loads": {"supplier", "third-party"},
    "api_supplier": {"supplier"},
    "api_operator": {"operator"},
    "api_auditor": {"auditor"},
    "supplier": {"supplier"},
    "operator": {"operator"},
    "auditor": {"auditor"},
    "portal.own": {"customer"},
}
# By endpoint: what is there for everybody; it says nothing of anybody.
FREE = {
    "accounts.front",
    "accounts.login",
    "accounts.log_in",
    "accounts.logout",
    "pages.static",
    "portal.home",
    "portal.challenge",
    "portal.answer",
    "portal.new_key",
    "portal.honesty",
    "portal.script_hashes",
    "ingest.accept_reports",
    "ingest.tell_standing",  # it answers what a rostered concentrator signed
    "health.healthz",
    "health.readyz",
    "reference.openapi",
    "reference.docs",
    "reference.static",
}
QUERIES = {"api_supplier.bills": {"start": MARCH}}
# How somebody asks, and as what the server is to take them.
ASKERS = {
    "nobody": None,
    "signed in as supplier": "supplier",
    "signed in as operator": "operator",
    "signed in as auditor": "auditor",
    "signed in as customer": "customer",
    "token of supplier": "supplier",
    "token of third-party": "third-party",
    "token of operator": "operator",
    "token of operator, north only": "operator",
    "token of auditor": "auditor",
    "token of supplier, north only": "supplier",
    "token of third-party, north only": "third-party",
    "revoked token": None,
    "expired token": None,
}
# There is a forecast only of what has a yesterday, and a form without its token is a 400.
OPENED = (200, 400, 404)
# What a customer's own request may come to besides 200: a bill that was never proved, a form without its token.
LACKING = {"portal.own.proof": (404,), "portal.own.keep": (400,), "portal.own.erase_all": (400,)}
NORTH_ONLY = (
    "token of supplier, north only",
    "token of third-party, north only",
    "token of operator, north only",
)


@pytest.fixture(autouse=True)
def short_streams(monkeypatch):
    monkeypatch.setattr("mdms.portal.rows.STREAM_S", 0)


@pytest.fixture(scope="module")
def api(bench, tmp_path_factory):
    api = BenchApi(bench, tmp_path_factory.mktemp("matrix"))
    api.fill()
    api.other_bill = 987_654_321
    from mdms.records.bills import Bill, keep_bill

    bill = Bill(api.other.account, MARCH, MARCH + DAY, api.other_bill, 1, 8, 1, "released")
    keep_bill(api.store, bill, [], b"x")
    yield api
    api.close()


@pytest.fixture(scope="module")
def ask(api):
    revoked = add_token(api.store, "revoked", "supplier", 1)
    revoke_token(api.store, "revoked")
    secrets = {
        "token of supplier": api.tokens["supplier"],
        "token of third-party": api.tokens["third-party"],
        "token of operator": api.tokens["operator"],
        "token of operator, north only": api.tokens["operator of north"],
        "token of auditor": api.tokens["auditor"],
        "token of supplier, north only": api.tokens["supplier of north"],
        "token of third-party, north only": api.tokens["third party of north"],
        "revoked token": revoked,
        "expired token": expired(api),
    }
    clients = {
        "signed in as supplier": api.signed_in("sue"),
        "signed in as operator": api.signed_in("ope"),
        "signed in as auditor": api.signed_in("aud"),
        "signed in as customer": api.as_customer(api.me),
    }

    def one(who, method, url, query):
        client = clients.get(who) or api.client()
        headers = {"Authorization": f"Bearer {secrets[who]}"} if who in secrets else {}
        return client.open(url, method=method, headers=headers, query_string=query)

    return one


def expired(api):
    from sqlalchemy import update

    from mdms.tables import tokens

    secret = add_token(api.store, "expired", "supplier", 1)
    api.store.write(lambda it: it.execute(update(tokens).where(tokens.c.name == "expired").values(expires=1)))
    return secret


def door(endpoint):
    return endpoint.rpartition(".")[0]


def addresses(api, rule):
    """Yield (whose object, url) of a rule: the asker's own and a foreign one, or only one where it has none."""
    objects = {
        "name": {"own": "north", "foreign": "south"},
        "account": {"own": api.me.account, "foreign": api.other.account},
        "pseudonym": {"own": api.me.account, "foreign": api.other.account},
        "filename": {"own": "pages.css", "foreign": "../pages.py"},
        "period_start": {"own": MARCH, "foreign": MARCH},
        "region": {"own": "none", "foreign": "none"},
        "kind": {"own": "meter", "foreign": "revocation"},
        "name_of": {"own": "A" * 16, "foreign": "B" * 16},
        "decision": {"own": "approve", "foreign": "reject"},
        "report": {"own": "ab" * 32, "foreign": "cd" * 32},
    }
    unknown = rule.arguments - set(objects)
    assert not unknown, f"{rule}: say what an own and a foreign {unknown} is"
    bound = api.app.url_map.bind("localhost")
    for whose in ("own", "foreign") if rule.arguments else ("own",):
        values = {name: objects[name][whose] for name in rule.arguments}
        yield whose, bound.build(rule.endpoint, values)


def guarded(api):
    return [rule for rule in api.app.url_map.iter_rules() if rule.endpoint not in FREE]


def test_every_route_belongs_to_a_door_or_is_for_everybody(api):
    for rule in guarded(api):
        assert door(rule.endpoint) in ROLES, f"{rule.endpoint}: say in ROLES or FREE for whom it is"
    assert {rule.endpoint for rule in api.app.url_map.iter_rules()} >= FREE


def is_open_to(who, rule):
    role = ASKERS[who]
    # Pages know logins alone: a token opens the API and nothing else.
    by_token = "token" in who
    return role in ROLES[door(rule.endpoint)] and not (by_token and not rule.rule.startswith("/api/"))


def test_nobody_is_given_what_is_not_for_them(api, ask):
    asked, leaks = 0, []
    for rule in guarded(api):
        for method in sorted(rule.methods - {"OPTIONS"}):
            for whose, url in addresses(api, rule):
                for who in ASKERS:
                    answer = ask(who, method, url, QUERIES.get(rule.endpoint, {}))
                    asked += 1
                    if not is_as_it_should(api, who, rule, whose, answer):
                        leaks.append((who, method, url, answer.status_code))
    print(f"authorisation: {asked} requests, {len(leaks)} leaks")
    assert leaks == []
    assert asked > 300


def is_as_it_should(api, who, rule, whose, answer):
    if answer.status_code >= 500:
        return False
    if not is_open_to(who, rule):
        return answer.status_code in (302, 400, 401, 403, 405) and not tells(answer, everything(api))
    if ASKERS[who] == "customer":
        foreign = (str(api.other_bill), api.other.account)
        own = LACKING.get(rule.endpoint, (200,))
        # A form without its token is refused before anybody looks whose it is.
        stranger = (404, 400) if 400 in own else (404,)
        return answer.status_code in (stranger if whose == "foreign" else own) and not tells(answer, foreign)
    if who in NORTH_ONLY:
        if answer.status_code not in ((404,) if whose == "foreign" else OPENED):
            return False
        return not tells(answer, (str(SOUTH_MWH), api.south, "south"))
    if ASKERS[who] == "operator" and tells(answer, energies(api)):
        return False
    return answer.status_code in OPENED and not (ASKERS[who] == "third-party" and tells(answer, accounts(api)))


def energies(api):
    return (str(SOUTH_MWH), str(api.other_bill), "import_mwh")


def accounts(api):
    return (api.me.account, api.other.account, api.south)


def everything(api):
    return (*energies(api), *accounts(api))


def tells(answer, secrets):
    # A refused address may come back in a redirect or an error, an account of the asker's in it.
    body = answer.get_data().decode(errors="replace")  # a PDF is no text
    return any(json.dumps(secret)[1:-1] in body for secret in secrets)


@pytest.mark.parametrize("planted", ["a door that is open", "a 404 that is forgotten"])
def test_a_planted_leak_is_seen(api, ask, monkeypatch, planted):
    if planted == "a door that is open":
        monkeypatch.setitem(api.app.before_request_funcs, "api_supplier", [])
        monkeypatch.setattr("mdms.api.bills.asker", lambda: type("Any", (), {"neighbourhoods": None})())
    else:
        monkeypatch.setattr("mdms.api.loads.known", lambda _book, name: name)
    with pytest.raises(AssertionError, match="assert"):
        test_nobody_is_given_what_is_not_for_them(api, ask)
