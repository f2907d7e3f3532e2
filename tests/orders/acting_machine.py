"""State machines with many acts of which a story needs several in a row.

Hypothesis leaves out a good half of the rules in each example, gives an example up in which a rule says `reject`, and makes new examples
by repeating parts of old ones: among twenty rules an order would hardly ever come from the click to the counter. Here one rule chooses
among the acts that are possible now, and what is drawn chooses another one at each step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

F = TypeVar("F", bound=Callable[..., None])

STRIDE = 17


@dataclass(frozen=True, slots=True)
class Act:
    """When it is possible, how often it is chosen compared to others, and what it is told."""

    when: Callable[[Any], object]
    weight: int
    arguments: dict[str, st.SearchStrategy[Any]]


def act(*, when: Callable[[Any], object] = lambda _: True, weight: int = 2, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Makes a method one of the acts of its machine."""

    def marked(method: F) -> F:
        method.__dict__["act"] = Act(when, weight, arguments)
        return method

    return marked


class ActingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._steps = 0

    @rule(drawn=st.integers(0, 1000), data=st.data())
    def something_happens(self, drawn: int, data: st.DataObject) -> None:
        self._steps += STRIDE
        possible = [name for name, one in self._acts() if one.when(self) for _ in range(one.weight)]
        method = getattr(self, possible[(drawn + self._steps) % len(possible)])
        arguments = data.draw(st.fixed_dictionaries(method.act.arguments), label=method.__name__)
        method(**arguments)

    @classmethod
    def _acts(cls) -> list[tuple[str, Act]]:
        methods = ((name, getattr(cls, name)) for name in dir(cls))
        return [(name, method.act) for name, method in methods if hasattr(method, "act")]
