"""The billing benchmark: a whole tiny run, and that a key holder which opens something else ends it.

No test here says how long anything takes.
"""

import pytest
from click.testing import CliRunner

from mdms.keyholder import opening
from scripts.bench_billing import __main__ as command
from scripts.bench_billing.measure import Measurement

TINY = ["--customers", "2", "--key-bits", "512", "--unsafe-small-key", "--phe-customers", "1"]


@pytest.fixture(autouse=True)
def logging_as_before():
    import structlog

    yield
    structlog.reset_defaults()


def test_a_tiny_run_opens_every_bill_in_three_proved_sums():
    done = CliRunner().invoke(command.main, TINY)
    assert done.exit_code == 0, done.output
    assert "phe" in done.output
    assert "480" in done.output  # signatures
    assert done.output.count("not measured") == 2


def test_a_wrong_sum_ends_the_run(monkeypatch):
    monkeypatch.setattr(opening.ciphertext, "product", lambda key, terms: opening.ciphertext.add_many(key, terms[1:]))
    done = CliRunner().invoke(command.main, TINY)
    assert done.exit_code == 1
    assert "other energies" in done.output


def test_a_figure_is_reached_or_not_and_only_at_its_own_size():
    def reached(seconds, cpu_s, bills=1000, bits=3072):
        found = Measurement(bills, bills * 240, bills * 3, 100, seconds, cpu_s)
        return [figure.reached for figure in command.figures(found, bits)]

    assert reached(59, 100) == [True, True]
    assert reached(61, 130) == [False, False]
    assert reached(61, 100) == [False, True]
    assert reached(1, 1, bills=10) == reached(1, 1, bits=2048) == [None, None]
