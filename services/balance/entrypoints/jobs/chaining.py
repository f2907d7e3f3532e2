"""Runs `BuildChain` for as long as the service runs, and exports each signed head to the log: what the database says later can be held
against what the log said then."""

from __future__ import annotations

import asyncio
import random

import structlog

from services.balance.application.build_chain import BuildChain, ChainDamaged
from services.balance.application.proof_ports import ChainWriter, ProofObserver
from services.balance.domain.chain import SignedHead
from shared.tasks import going_on

log = structlog.get_logger()

# Replicas do not all ask for their turn at the same instant.
SPREAD = 0.2


class Chaining:
    """Looks every `every_s` seconds, and at once again while there is more than a batch."""

    def __init__(self, chains: ChainWriter, build: BuildChain, observer: ProofObserver, *, every_s: float, batch: int) -> None:
        self._chains = chains
        self._build = build
        self._observer = observer
        self._every_s = every_s
        self._batch = batch

    async def run(self) -> None:
        """Runs until cancelled; outlives failures of the database."""
        while going_on():
            if await self._round() < self._batch:
                await asyncio.sleep(self._every_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311

    async def _round(self) -> int:
        try:
            linked, heads = await self._build.step()
            if heads:
                log.info("chain heads", linked=linked, heads=[_exported(head) for head in heads])
            self._observer.chained(await self._chains.lag_s())
        except ChainDamaged as error:
            log.error("a chain is damaged and is not made longer", error=str(error))
        except Exception as error:  # noqa: BLE001  the next round tries again
            log.warning("operations could not be chained", error=repr(error))
        else:
            return linked
        return 0


def _exported(signed: SignedHead) -> str:
    return f"{signed.head.message().decode()} {signed.key_id} {signed.signature.hex()}"
