"""The words of a bill, one TOML file of templates for each language in ``texts/``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config import LANGUAGES
from ..reasons import WORDS

FOLDER = Path(__file__).with_name("texts")


@dataclass(frozen=True, slots=True)
class Texts:
    """One language: templates by name, what the gate's decisions mean, and the decimal sign."""

    language: str
    decimal: str
    templates: Mapping[str, str]
    reasons: Mapping[str, str]

    def say(self, text: str, /, **facts: object) -> str:
        """Return a text with its facts put in; raises KeyError for a text or a fact that is not there."""
        return self.templates[text].format(**facts)

    def number(self, text: str) -> str:
        """Return a decimal number as the language writes it."""
        return text.replace(".", self.decimal)

    def reason(self, status: str) -> str:
        """Return what a decision means."""
        return self.reasons.get(status, status)


def load_texts(language: str) -> Texts:
    """Return the texts of one of LANGUAGES; raises KeyError for another."""
    if language not in LANGUAGES:
        raise KeyError(language)
    table = tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8"))
    reasons = table.pop("reasons", WORDS)
    return Texts(language, table.pop("decimal"), table, reasons)
