"""The numbers in the page for engineers are what Python makes of them."""

import doctest
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "paillier-for-engineers.md"


def test_every_number_of_the_page_is_right():
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 30
    assert result.failed == 0
