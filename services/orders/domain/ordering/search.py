"""The words by which staff find an order: the same rule cuts up what is stored and what is asked for.

A word is a run of letters and digits, without case and accents: `alvarez` finds `Álvarez`. A phone number's digits are a word together
too: `+49 (30) 555-0123` is found by `555` and by `49305550123`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

# Postgres stores no word of more than 2 KiB; nobody looks for one this long, and each letter is at most 4 bytes.
WORD_LETTERS_MAX = 200
# Each word of a query costs a look; nobody says more of an order.
QUERY_WORDS_MAX = 10


def words_of(*texts: str) -> list[str]:
    """Returns the words of the texts, each once, in an order of their own."""
    return sorted({word for text in texts for word in _words(text)})


def phone_words(phone: str) -> list[str]:
    """Returns the words of a phone number: its groups of digits, and all of them as one."""
    return words_of(phone, "".join(filter(str.isalnum, _plain(phone))))


def stored_words(*, number: str, name: str, phone: str, medicines: Iterable[str]) -> list[str]:
    """Returns what an order is found by: its number, the customer's name and phone, its medicines' SKUs and names."""
    return sorted({*words_of(number, name, *medicines), *phone_words(phone)})


def query_words(query: str) -> list[str]:
    """Returns the words of a query, in the order asked, at most QUERY_WORDS_MAX of them; none if it has no letter and no digit."""
    return list(dict.fromkeys(_words(query)))[:QUERY_WORDS_MAX]


def _words(text: str) -> Iterator[str]:
    letters = "".join(letter if letter.isalnum() else " " for letter in _plain(text))
    return (word[:WORD_LETTERS_MAX] for word in letters.split())


def _plain(text: str) -> str:
    """Folds case and takes accents off; again, for a letter may fold into an accented one.

    By way of capitals, since letters that differ may have the same one: `IŞIK` must find `Işık`.
    """
    once = unicodedata.normalize("NFKD", text).upper().casefold()
    return "".join(letter for letter in unicodedata.normalize("NFKD", once) if not unicodedata.combining(letter))
