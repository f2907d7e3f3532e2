"""Gives tokens for logins and passwords."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.customers.application.ports import Hasher, HashingTurns, Registration, Registrations, Token, Tokens
from services.customers.application.prove_login import ProveLogin
from services.customers.domain.errors import WrongCredentials
from services.customers.domain.login import Attempt, normalized_login


@dataclass(frozen=True, slots=True)
class Session:
    """A customer, logged in."""

    customer_id: UUID
    token: Token


class LogIn:
    def __init__(self, registrations: Registrations, turns: HashingTurns, proof: ProveLogin, tokens: Tokens) -> None:
        self._registrations = registrations
        self._turns = turns
        self._proof = proof
        self._tokens = tokens

    async def log_in(self, login: str, password: str, address: str) -> Session:
        """Raises WrongCredentials, TooManyFailedLogins, Overloaded."""
        attempt = Attempt(address, normalized_login(login))
        return await self._turns.in_turn(lambda hasher: self._check(hasher, attempt, password))

    async def _check(self, hasher: Hasher, attempt: Attempt, password: str) -> Session:
        await self._proof.admit(attempt)
        known = await self._registrations.find(attempt.login)
        proven = await self._proof.proves(hasher, attempt, known.password_hash if known else None, password)
        if known is None or not proven:
            raise WrongCredentials
        if hasher.is_outdated(known.password_hash):
            await self._renew(hasher, known, password)
        return Session(known.customer_id, self._tokens.issue(known.customer_id, known.roles))

    async def _renew(self, hasher: Hasher, known: Registration, password: str) -> None:
        await self._registrations.replace_hash(known.customer_id, old=known.password_hash, new=await hasher.hash(password))
