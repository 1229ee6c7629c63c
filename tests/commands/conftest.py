"""What the tests of the commands share."""

import pytest


@pytest.fixture
def readings_file(tmp_path):
    """Return a function that writes rows (meter, neighbourhood, start, text) as a file of readings."""

    def write(rows, name="readings.csv"):
        path = tmp_path / name
        lines = ["meter,neighbourhood,interval_start,energy_wh", *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
