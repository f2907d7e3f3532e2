"""Verifies a hash chain against the operations as they are now, in one snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from services.balance.application.proof_ports import ChainReader, ChainSnapshot, Seal
from services.balance.domain.chain import CHAINS
from services.balance.domain.errors import ChainNotFound
from services.balance.domain.verification import ChainFinding, ChainWalk, Fault
from shared.grpc.in_flight import InFlight

LINKS_PER_STEP = 1000
NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ChainProgress:
    """How many links have been verified, and what the last step found."""

    verified: int
    findings: Sequence[ChainFinding]


class VerifyChain:
    """`seal` is None where no chains are built. `running` limits what runs at once: each keeps a connection busy."""

    def __init__(self, chains: ChainReader, seal: Seal | None, running: InFlight) -> None:
        self._chains = chains
        self._seal = seal
        self._running = running

    @property
    def chains(self) -> range:
        """The chains that there are."""
        return range(CHAINS if self._seal else 0)

    async def run(self, chain: int) -> AsyncGenerator[ChainProgress, None]:
        """Raises ChainNotFound, Overloaded."""
        if self._seal is None or chain not in self.chains:
            raise ChainNotFound
        with self._running:
            async with self._chains.snapshot(chain) as snapshot:
                walk, verified = ChainWalk(chain, self._seal.is_genuine), 0
                while links := await snapshot.links(walk.number, LINKS_PER_STEP):
                    heads = await snapshot.heads(walk.number, links[-1].link.number)
                    verified += len(links)
                    # In a thread: hashes and signatures of a step would keep the calls of others waiting.
                    yield ChainProgress(verified, await asyncio.to_thread(walk.step, links, heads))
                found = list(walk.end(await snapshot.heads(walk.number, NEVER)))
                yield ChainProgress(verified, found + await _unlinked(snapshot))


async def _unlinked(snapshot: ChainSnapshot) -> list[ChainFinding]:
    text = "the operation is not linked, though later ones are: it was put in behind the chain, or its link is gone"
    return [ChainFinding(Fault.REORDERED, 0, account, version, text) for account, version in await snapshot.unlinked()]
