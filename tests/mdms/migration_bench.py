"""A database as the first version left it, with rows in it, on whatever engine."""

from alembic import command
from alembic.config import Config
from mdms_bench import MARCH, pseudonym, row
from sqlalchemy import create_engine, inspect, text

from mdms import migrations

ME, OTHER = pseudonym("north", 0), pseudonym("north", 1)


def upgrade_to(url, version):
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrations.HERE))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


def run(url, *statements):
    """Execute (SQL, parameters) pairs in one transaction; returns the rows of the last that has any."""
    engine = create_engine(url)
    found = []
    with engine.begin() as connection:
        for sql, parameters in statements:
            result = connection.execute(text(sql), parameters)
            found = result.all() if result.returns_rows else found
    engine.dispose()
    return found


def tables(url):
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def rows_of_the_first_version():
    """Sealed rows as (pseudonym, epoch, counter): late ones among them, two tenancies."""
    return [(ME, 20_513, 5), (ME, 20_512, 9), (OTHER, 20_513, 1), (ME, 20_513, 4), (ME, 20_512, 1)]


def fill_first_version(url):
    upgrade_to(url, "0001")
    details = [
        (
            "INSERT INTO detail_rows (title, salt, counter, pseudonym, epoch, row) VALUES (:t, :s, :c, :p, :e, :r)",
            {
                "t": b"METER--1" if name == ME else b"METER--2",
                "s": b"salt",
                "c": counter.to_bytes(8, "big"),
                "p": name,
                "e": epoch,
                "r": row(counter, epoch=epoch),
            },
        )
        for name, epoch, counter in rows_of_the_first_version()
    ]
    signed = "id, type, content, signer, signature"
    bill = (
        "INSERT INTO bills (pseudonym, period_start, period_end, status, import_mwh, export_mwh, windows, estimated,"
        " answer) VALUES (:p, :t, :t, 'released', 7, 1, 28, 0, :a)"
    )
    load = (
        "INSERT INTO interval_loads (neighbourhood, interval_start, interval_end, contributors, expected, report,"
        " decided) VALUES ('north', :t, :t, 12, 12, 'r', :no)"
    )
    run(
        url,
        ("INSERT INTO schema_version (version) VALUES (1)", {}),
        (f"INSERT INTO reports ({signed}) VALUES ('r', 'interval-load', :c, 's', 'x')", {"c": b"content"}),
        (load, {"t": MARCH, "no": False}),
        (bill, {"p": ME, "t": MARCH, "a": b"answer"}),
        *details,
    )
