"""In a real browser: what the utility says of itself, who looked, and what the customer decides about the own rows."""

import subprocess

import pytest


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []


def test_the_commands_of_the_page_find_every_script_as_it_says(page, served, tmp_path):
    page.open(f"{served.url}/portal/honesty")
    commands, shown = page.text("#compare"), page.text("#bundle")
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[0] == f"{shown}  scripts.sha256"
    verdicts = done.stdout.splitlines()[1:]
    assert len(verdicts) == len(page.all("details tbody tr")) > 20
    assert {line.rpartition(": ")[2] for line in verdicts} == {"OK"}
