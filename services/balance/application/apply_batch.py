"""Many commands in one call: each for itself, or all or none."""

from __future__ import annotations

from collections.abc import Sequence

from services.balance.application.ports import Ledger
from services.balance.application.post_points import check, error_of
from services.balance.application.programs import Programs
from services.balance.domain.commands import Command
from services.balance.domain.decide import Group, Outcome, Recorded
from services.balance.domain.errors import BatchAborted
from shared.errors import GalenError

# What a caller sent: a command, or the error that it can't even be tried for.
Wish = Command | GalenError
Result = Recorded | GalenError


class ApplyBatch:
    """Applies commands in their order, in one transaction."""

    def __init__(self, ledger: Ledger, programs: Programs) -> None:
        self._ledger = ledger
        self._programs = programs

    async def apply(self, program: str, wishes: Sequence[Wish], *, atomic: bool) -> Sequence[Result]:
        """Returns the result of each wish, in order. With `atomic`, one error makes BatchAborted of all that have none.

        All wishes are about accounts of `program`. Raises ProgramNotFound.
        """
        await self._programs.require(program)
        checked = [_checked(wish) for wish in wishes]
        commands = [wish for wish in checked if isinstance(wish, Command)]
        if atomic and len(commands) < len(checked):
            return [BatchAborted() if isinstance(wish, Command) else wish for wish in checked]
        outcomes = iter(await self._ledger.post(Group(commands, atomic)) if commands else ())
        return [_result(next(outcomes)) if isinstance(wish, Command) else wish for wish in checked]


def _checked(wish: Wish) -> Wish:
    if isinstance(wish, Command):
        try:
            check(wish)
        except GalenError as error:
            return error
    return wish


def _result(outcome: Outcome) -> Result:
    error = error_of(outcome)
    if error is not None:
        return error
    assert isinstance(outcome, Recorded)
    return outcome
