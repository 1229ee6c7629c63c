"""The words of a customer's recovery kit: 32 bytes as 24 words of BIP-39's English list, the last with a checksum.

Bytes to words only: nothing of BIP-39's seeds and passphrases. The page that makes kits writes the same words.
"""

import re

from mnemonic import Mnemonic

WORDS = 24
TELLING = 4  # no two words of the list begin with the same four letters
_BETWEEN = re.compile(r"[\s\d.,;:)]+")
_BOOK = Mnemonic("english")


class WordsError(Exception):
    """Words that are no key; the message says which or why."""


def to_words(secret: bytes) -> list[str]:
    """Return the 24 words of 32 bytes."""
    return str(_BOOK.to_mnemonic(secret)).split()


def from_words(text: str) -> bytes:
    """Return the 32 bytes of 24 words as somebody typed them, numbered or not; raises WordsError."""
    words = [word for word in _BETWEEN.split(text.lower()) if word]
    unknown = [_in_question(word, number) for number, word in enumerate(words, 1) if word not in _BOOK.wordlist]
    if unknown:
        raise WordsError(" ".join(unknown[:3]))
    if len(words) != WORDS:
        raise WordsError(f"A recovery kit has {WORDS} words; these are {len(words)}.")
    try:
        return bytes(_BOOK.to_entropy(words))
    except ValueError:
        raise WordsError(
            "Every word is in the list, but together they are no key: one of them is another word, or two have "
            "changed places."
        ) from None


def _in_question(word: str, number: int) -> str:
    near = [known for known in _BOOK.wordlist if len(word) >= TELLING and known.startswith(word[:TELLING])]
    perhaps = f' Is it "{near[0]}"?' if near else ""
    return f'Word {number}, "{word[:20]}", is not in the list of words.{perhaps}'
