"""Makes the hash chains longer, beside the writes and not in their way: one replica at a time, a batch of operations at a time."""

from __future__ import annotations

from collections.abc import Sequence

from services.balance.application.proof_ports import ChainTurn, ChainWriter, Seal
from services.balance.domain.chain import SignedHead, extend, last_position


class ChainDamaged(Exception):
    """The end of a chain is not as it was left. It is not made longer: whoever investigates finds it as it is."""


class BuildChain:
    def __init__(self, chains: ChainWriter, seal: Seal, batch: int) -> None:
        self._chains = chains
        self._seal = seal
        self._batch = batch

    async def step(self) -> tuple[int, Sequence[SignedHead]]:
        """Links the next operations; returns how many, and the new heads: none if another replica is at it. Raises ChainDamaged."""
        async with self._chains.turn() as turn:
            return await self._link(turn) if turn else (0, ())

    async def _link(self, turn: ChainTurn) -> tuple[int, Sequence[SignedHead]]:
        tips = await turn.tips()
        self._check(tips)
        heads = [tip.head for tip in tips]
        operations, now = await turn.next(last_position(heads), self._batch)
        links, grown = extend({head.chain: head for head in heads}, operations, now)
        signed = [self._seal.sign(head) for head in grown]
        if links:
            await turn.append(links, signed)
        return len(links), signed

    def _check(self, tips: Sequence[SignedHead]) -> None:
        for tip in tips:
            if not self._seal.is_genuine(tip):
                raise ChainDamaged(f"the last head of chain {tip.head.chain} does not bear a signature of ours")
