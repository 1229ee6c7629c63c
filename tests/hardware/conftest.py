import pytest

from hardware.circuit import SOURCE, load_circuit


@pytest.fixture(scope="session")
def circuit():
    return load_circuit()


@pytest.fixture
def planted():
    """Return a function that reads the circuit with one text replaced by another."""

    def plant(old, new):
        text = SOURCE.read_text()
        assert old in text, old
        return load_circuit(text.replace(old, new, 1))

    return plant
