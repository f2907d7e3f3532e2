"""Where `create-admin` reads a login and password: the environment, else a terminal or a pipe. Never arguments: `ps` shows those."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

ADMIN_LOGIN = "ADMIN_LOGIN"
ADMIN_PASSWORD = "ADMIN_PASSWORD"  # noqa: S105  the name of a variable
PASSWORD_CHARACTERS_MAX = 256


class PasswordUnusable(Exception):
    """The password can't be one of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class AdminCredentials:
    """Reads ADMIN_LOGIN and ADMIN_PASSWORD. What they do not hold is asked for; from a pipe it is read as a line each, the login first."""

    environment: Mapping[str, str]
    standard_input: TextIO
    ask_login: Callable[[str], str] = input
    ask_password: Callable[[str], str] = getpass.getpass

    def login(self) -> str:
        return self.environment.get(ADMIN_LOGIN) or self._read("login: ", self.ask_login)

    def password(self) -> str:
        """Raises PasswordUnusable."""
        password = self.environment.get(ADMIN_PASSWORD) or self._read("password: ", self.ask_password)
        if not 1 <= len(password) <= PASSWORD_CHARACTERS_MAX:
            raise PasswordUnusable(f"the password must have 1 to {PASSWORD_CHARACTERS_MAX} characters")
        return password

    def _read(self, prompt: str, ask: Callable[[str], str]) -> str:
        return ask(prompt) if self.standard_input.isatty() else self.standard_input.readline().removesuffix("\n")


def admin_credentials(environment: Mapping[str, str]) -> AdminCredentials:
    return AdminCredentials(environment, sys.stdin)
