"""A deployment with pages, tokens of every kind, and something of two streets to read."""

import json

from mdms_bench import DAY, INTERVAL, MARCH, pseudonym
from pages_bench import BenchPages

from mdms.accounts.tokens import add_token
from mdms.billing.money import BillSum
from mdms.records.bills import Bill, keep_bill
from mdms.records.loads import LoadRelease, keep_load_release

# What the south's energies look like in any answer: no other number of the bench has these digits.
SOUTH_MWH = 777_555_333
WITHHELD = "too_few_contributors"


class BenchApi(BenchPages):
    """Its `tokens` by what they are for."""

    def __init__(self, bench, folder, **more):
        super().__init__(bench, folder, **more)
        self.folder = folder
        self.south = pseudonym("south", 0)
        self.tokens = {
            "supplier": add_token(self.store, "supplier", "supplier", 30),
            "third-party": add_token(self.store, "third", "third-party", 30),
            "operator": add_token(self.store, "operator", "operator", 30),
            "operator of north": add_token(self.store, "o-north", "operator", 30, ["north"]),
            "auditor": add_token(self.store, "auditor", "auditor", 30),
            "supplier of north": add_token(self.store, "s-north", "supplier", 30, ["north"]),
            "third party of north": add_token(self.store, "t-north", "third-party", 30, ["north"]),
        }

    def fill(self):
        """Release some of a day and a bill on each street; one interval of the north is withheld, one waits."""
        north, south = self.bench.north, self.bench.south
        self.ingest(*(north.load(MARCH + at * INTERVAL) for at in range(4)), south.load(MARCH), north.window(MARCH))
        for at in range(2):
            self.release("north", at, 1_000_000 + at)
        self.release("north", 2, None, WITHHELD)
        self.release("south", 0, SOUTH_MWH)
        for account, energy in ((self.me.account, 2 * 10**9), (self.south, SOUTH_MWH)):
            sums = (BillSum(0, (), 8, 8, energy, 1),)
            bill = Bill(account, MARCH, MARCH + DAY, energy, 1, 8, 1, "released", sums=sums)
            keep_bill(self.store, bill, [], b"x")

    def release(self, name, at, energy, status="released"):
        start = MARCH + at * INTERVAL
        export = None if energy is None else 7
        keep_load_release(self.store, LoadRelease(name, start, 12, 12, status, energy, export), b"answer")

    def get(self, path, token=None, client=None, **query):
        headers = {"Authorization": f"Bearer {self.tokens.get(token, token)}"} if token else {}
        return (client or self.client()).get(f"/api/v1{path}", headers=headers, query_string=query)

    def log_line(self, text):
        (self.folder / "release-log.jsonl").open("a").write(json.dumps({"entry": text}) + "\n")
