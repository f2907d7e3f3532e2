"""Registers customers."""

from __future__ import annotations

from uuid import UUID, uuid4

from services.customers.application.log_in import Session
from services.customers.application.ports import Hasher, HashingTurns, Registration, Registrations, Tokens
from services.customers.application.prove_login import ProveLogin
from services.customers.domain.customer import Customer
from services.customers.domain.errors import LoginTaken
from services.customers.domain.login import Attempt, registrable_login
from shared.clock import Clock
from shared.errors import RequestIdReused


class Register:
    """No answer is stored, since it holds a token: a repeat proves itself by the password and gets a new one."""

    def __init__(self, registrations: Registrations, turns: HashingTurns, proof: ProveLogin, tokens: Tokens, clock: Clock) -> None:
        self._registrations = registrations
        self._turns = turns
        self._proof = proof
        self._tokens = tokens
        self._clock = clock

    async def register(self, login: str, password: str, request_id: UUID, address: str) -> Session:
        """Raises InvalidRequest, LoginTaken, RequestIdReused, TooManyFailedLogins, Overloaded."""
        attempt = Attempt(address, registrable_login(login))
        return await self._turns.in_turn(lambda hasher: self._register(hasher, attempt, password, request_id))

    async def _register(self, hasher: Hasher, attempt: Attempt, password: str, request_id: UUID) -> Session:
        known = await self._known(attempt.login, request_id)
        if known is None:
            now = self._clock.now()
            customer = Customer(uuid4(), attempt.login, created_at=now, updated_at=now)
            if await self._registrations.add(customer, await hasher.hash(password), request_id):
                return self._session(customer.id, customer.roles)
            # Someone was faster, perhaps this very request sent twice.
            known = await self._known(attempt.login, request_id)
            assert known is not None, "customers are never removed"
        return await self._repeat(hasher, known, attempt, password, request_id)

    async def _known(self, login: str, request_id: UUID) -> Registration | None:
        return await self._registrations.find_request(request_id) or await self._registrations.find(login)

    async def _repeat(self, hasher: Hasher, known: Registration, attempt: Attempt, password: str, request_id: UUID) -> Session:
        if known.login != attempt.login:
            raise RequestIdReused
        if known.request_id != request_id:
            raise LoginTaken
        await self._proof.admit(attempt)
        if not await self._proof.proves(hasher, attempt, known.password_hash, password):
            raise LoginTaken
        return self._session(known.customer_id, known.roles)

    def _session(self, customer_id: UUID, roles: frozenset[str]) -> Session:
        return Session(customer_id, self._tokens.issue(customer_id, roles))
