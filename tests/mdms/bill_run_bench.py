"""A utility at a month's end: every window of March of some meters is stored, and nothing is opened yet."""

import json
import shutil
import threading

from database_bench import copied_database_url, database_url
from mdms_bench import APRIL, DEPLOYMENT, MARCH, Bench, pseudonym
from sqlalchemy import delete, update
from tariff_bench import book_of, day_and_night, write_tariffs

from mdms.bill_run.progress import Lines
from mdms.bill_run.run import Options, bill_run
from mdms.config import load_mdms_config
from mdms.ingest.admission import admit
from mdms.ingest.judgement import judge
from mdms.keyholder.server import SocketServer
from mdms.store import Store
from mdms.tables import bill_sums, billing_windows, bills, release_batches
from paillier import ENERGY_SLOTS, to_base64url
from protocol import windows
from protocol.documents import public_key_bytes
from protocol.documents import to_base64url as text_of

CHARGED = {"standing_micro": 250_000, "tax_ppm": 190_000}
NOW = APRIL + 86_400


class MonthsEnd:
    """North's first meters with a whole month each, the configuration, and a key holder on its socket."""

    def __init__(self, folder, meters=3, tariff=None):
        self.bench = bench = Bench()
        self.folder = folder
        self.tariff = tariff or day_and_night(**CHARGED)
        mdms, self.keyholder_path = bench.write(folder, tariffs="tariffs")
        write_tariffs(folder / "tariffs", bench.operator, self.tariff)
        with mdms.open("a") as file:
            file.write('release_log = "release-log.jsonl"\ntariffs = "tariffs"\n')
            file.write(f'log_key = "{text_of(public_key_bytes(bench.log_key))}"\n')
        self.path = mdms
        self.config = load_mdms_config(mdms)
        self.store = Store(self.config.database)
        self.twins = []
        self.meters = [pseudonym("north", meter) for meter in range(meters)]
        for meter in range(meters):
            self.receive(month(bench.north, meter))

    def receive(self, documents):
        verdicts = admit(self.store, [judge(item, self.bench.book, DEPLOYMENT) for item in documents])
        assert {item.verdict for item in verdicts} == {"stored"}, verdicts

    def twin(self, folder):
        """The same utility in another folder, as it is now: both databases, every file."""
        self.store.close()
        shutil.copytree(self.folder, folder)
        twin = object.__new__(MonthsEnd)
        twin.bench, twin.folder, twin.tariff, twin.meters, twin.twins = (
            self.bench,
            folder,
            self.tariff,
            self.meters,
            [],
        )
        twin.path = folder / self.path.name
        config = twin.path.read_text().replace(database_url(self.folder), copied_database_url(self.folder, folder))
        twin.path.write_text(config.replace(str(self.folder), str(folder)))
        twin.config = load_mdms_config(twin.path)
        twin.store = Store(twin.config.database)
        self.twins.append(twin)
        return twin

    def key_holder(self, now=NOW, policy=None):
        """Serve a key holder in this process, on the socket of the configuration."""
        return Served(self, now, policy)

    def run(self, out, now=NOW, lines=None, **options):
        """Run in this process; returns the outcome and the lines that were told, in ``lines`` as they come."""
        lines = [] if lines is None else lines
        facts = {"start": None, "out": out, "workers": 1} | options
        outcome = bill_run(self.config, Options(**facts), Lines(lines.append), now)
        return outcome, lines

    def forget_decisions(self):
        """Put the MDMS's database back to before anything was decided, as a restored backup would."""

        def work(connection):
            connection.execute(update(billing_windows).values(bill=None))
            for table in (bill_sums, bills, release_batches):
                connection.execute(delete(table))

        self.store.write(work)

    def close(self):
        for one in (self, *self.twins):
            one.store.close()


class Served:
    """A key holder that is asked over its socket and can be asked what it was asked."""

    def __init__(self, end, now, policy):
        tariffs = book_of(end.bench.operator, end.tariff)
        self.holder = end.bench.holder(end.folder, now, policy, tariffs=tariffs)
        self.asked = []
        self.before = lambda: None
        self.stopped = threading.Event()
        self.server = SocketServer(end.config.keyholder_socket, self.answer)
        self.thread = threading.Thread(target=self.server.serve, args=(self.stopped,))

    def answer(self, message):
        self.before()
        self.asked.append(message)
        return self.holder.answer(message)

    def names(self):
        """Which bills were asked for, in order."""
        items = [item for message in self.asked for item in json.loads(message).get("items", [])]
        return [item["bill"]["pseudonym"] for item in items]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        self.holder.close()


def month(street, meter, until=APRIL):
    """A meter's month, signed; its ciphertexts are few and used again, for the sake of time."""
    sealed = [
        to_base64url(street.public, street.encryptor.encrypt(ENERGY_SLOTS.pack((1000 * (meter + 1) + at, at))))
        for at in range(5)
    ]
    starts = range(MARCH, until, windows.WINDOW_S)
    return [
        street.window(start, meter, energy=sealed[at % 4], closing_register=sealed[-1])
        for at, start in enumerate(starts)
    ]


def files(folder):
    """Every file of a run by name, with its bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
