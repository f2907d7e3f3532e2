"""Logins: what may be registered, and how they are compared."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass

from shared.errors import FieldViolation, InvalidRequest

LOGIN_CHARACTERS_MAX = 128


def normalized_login(text: str) -> str:
    """Returns the login as it is stored and compared: NFKC, so that look-alikes made of other code points are one login; case counts."""
    return unicodedata.normalize("NFKC", text)


def registrable_login(text: str) -> str:
    """Returns the normalized login of someone who registers. Raises InvalidRequest.

    Checked after normalization, which makes up to 18 characters of one.
    """
    login = normalized_login(text)
    if not 1 <= len(login) <= LOGIN_CHARACTERS_MAX or any(unicodedata.category(character) == "Cc" for character in login):
        description = f"must have 1 to {LOGIN_CHARACTERS_MAX} characters after normalization, and no control characters"
        raise InvalidRequest(f"login: {description}", violations=[FieldViolation("login", description)])
    return login


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try to prove who one is: which login, from which address."""

    address: str
    login: str

    @property
    def account(self) -> bytes:
        """Stands for the login where attempts are counted: people type passwords into the login field, and those must not be stored."""
        return hashlib.sha256(self.login.encode()).digest()
