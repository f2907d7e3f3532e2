"""Where public keys come from, and how they are kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from shared.auth.keys import PEOPLE_ISSUER, PublicKey, parse_jwk

log = structlog.get_logger()


class KeySource(Protocol):
    """A place that publishes keys."""

    async def fetch(self) -> Sequence[PublicKey]:
        """Returns the keys published now. May raise anything; the keyring keeps what it has."""


class FileKeys:
    """Keys in a JWKS file. A key without an `issuer` member speaks for people."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self) -> Sequence[PublicKey]:
        document = json.loads(self._path.read_text())
        return [parse_jwk(jwk, jwk.get("issuer", PEOPLE_ISSUER)) for jwk in document["keys"]]


class Keyring:
    """The keys that tokens are checked with.

    An unknown key id makes it ask its sources again, at most once in `refetch_s` seconds, so that forged ids can't be used to flood
    them. A source that fails keeps the keys it gave last: a rotation is picked up when it is well again.
    """

    def __init__(self, sources: Sequence[KeySource], *, refetch_s: float = 5.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._refetch_s = refetch_s
        self._monotonic = monotonic
        self._known: list[Mapping[str, PublicKey]] = [{} for _ in sources]
        self._fetched_at = -float("inf")
        self._fetching = asyncio.Lock()

    def get(self, kid: str) -> PublicKey | None:
        """Returns the key of this id if it is known already."""
        return next((keys[kid] for keys in self._known if kid in keys), None)

    async def find(self, kid: str) -> PublicKey | None:
        """Returns the key of this id, asking the sources if it is not known; None if they don't know it either."""
        key = self.get(kid)
        if key is not None:
            return key
        async with self._fetching:
            if self.get(kid) is None and self._monotonic() - self._fetched_at >= self._refetch_s:
                await self._fetch()
        return self.get(kid)

    async def _fetch(self) -> None:
        self._fetched_at = self._monotonic()
        for index, source in enumerate(self._sources):
            try:
                self._known[index] = {key.kid: key for key in await source.fetch()}
            except Exception as error:  # noqa: BLE001  whatever a source does, the keys it gave before stay good
                log.warning("public keys could not be fetched", source=type(source).__name__, error=repr(error))
