"""Accounts that a batch opened for credits that it then refused: nothing may remain of what was refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.balance.domain.decide import Decision, Group, Outcome
from services.balance.domain.names import AccountName


def opened_for_nothing(opened: Collection[AccountName], decision: Decision) -> frozenset[AccountName]:
    """Returns those of the opened accounts that have no operation."""
    return frozenset(opened).difference(operation.account for operation in decision.operations)


@dataclass(frozen=True, slots=True)
class Parted:
    """A group, parted in commands that have their final outcome, for they are about `unopened` accounts, and those to be tried again.

    Such a command was not recorded, so it has been refused; and with one of its commands an atomic group was refused as a whole.
    """

    group: Group
    unopened: frozenset[AccountName]

    @property
    def rest(self) -> Group:
        """Returns what is to be tried again."""
        kept = [command for command, again in zip(self.group.commands, self._tried_again(), strict=True) if again]
        return Group(kept, self.group.atomic)

    def joined(self, first: Sequence[Outcome], again: Sequence[Outcome]) -> Sequence[Outcome]:
        """Returns the outcomes of the whole group, from those that it had first and those of the rest."""
        later = iter(again)
        return [next(later) if tried else outcome for outcome, tried in zip(first, self._tried_again(), strict=True)]

    def _tried_again(self) -> Sequence[bool]:
        tried = [command.account not in self.unopened for command in self.group.commands]
        return tried if all(tried) or not self.group.atomic else [False] * len(tried)
