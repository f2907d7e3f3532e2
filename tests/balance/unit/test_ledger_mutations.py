"""Rules of the ledger are taken out one at a time, and the machine of test_ledger_machine.py must notice each: it can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from services.balance.domain import decide as rules
from services.balance.domain import journal as journals
from services.balance.domain.commands import Reverse, Withdraw
from services.balance.domain.journal import Journal, Loaded
from services.balance.domain.model import Hold, Kind, Lot
from tests.balance.unit.test_ledger_machine import LedgerMachine

# Always the same examples, none stored, and no time spent on a smaller one: it is enough that one is found.
HUNT = settings(
    max_examples=4000, stateful_step_count=30, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
)  # fmt: skip

Patch = Callable[[pytest.MonkeyPatch], None]


def forgets_recorded_requests(patch: pytest.MonkeyPatch) -> None:
    apply = rules._Batch.apply

    def without_lookup(batch: Any, command: Any) -> Any:
        batch.recorded = {}
        return apply(batch, command)

    patch.setattr(rules._Batch, "apply", without_lookup)


def spends_what_is_not_available_or_expired(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lot, "is_spendable", lambda lot, _now: lot.free > 0)


def spends_pending_points(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lot, "is_spendable", lambda lot, now: lot.free > 0 and not lot.is_expired(now))


def spends_lots_in_the_order_of_their_credits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(journals, "_spending_key", lambda lot: (lot.id,))


def never_expires_lots(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Journal, "expire_lots", lambda _journal: None)


def expires_lots_a_moment_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lot, "is_expired", lambda lot, now: lot.expires_at is not None and lot.expires_at < now)


def never_expires_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Hold, "is_due", lambda _hold, _now: False)


def lets_an_order_be_paid_twice(patch: pytest.MonkeyPatch) -> None:
    withdraw = rules._RULES[Withdraw]

    def forgetful(batch: Any, command: Any, journal: Journal) -> Any:
        batch.payments = {}
        return withdraw(batch, command, journal)

    patch.setitem(rules._RULES, Withdraw, forgetful)


def forgets_what_was_reversed_before_in_the_batch(patch: pytest.MonkeyPatch) -> None:
    reverse = rules._RULES[Reverse]

    def forgetful(batch: Any, command: Any, journal: Journal) -> Any:
        batch.originals = {key: (original, 0) for key, (original, _) in batch.originals.items()}
        return reverse(batch, command, journal)

    patch.setitem(rules._RULES, Reverse, forgetful)


def overlooks_operations_of_the_same_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Journal, "written", lambda _journal, _version: None)


def believes_that_all_lots_were_loaded(patch: pytest.MonkeyPatch) -> None:
    init = Journal.__init__

    def credulous(journal: Journal, loaded: Loaded, now: Any) -> None:
        init(journal, loaded, now)
        journal._last_loaded = None

    patch.setattr(Journal, "__init__", credulous)


def spends_lots_that_were_loaded_out_of_turn(patch: pytest.MonkeyPatch) -> None:
    def in_any_order(journal: Journal, first: Any) -> Any:
        chosen = [journal.lots[lot_id] for lot_id in first if lot_id in journal.lots]
        rest = [lot for lot in journal.lots.values() if lot.is_spendable(journal.now) and lot not in chosen]
        return [*chosen, *sorted(rest, key=journals._spending_key)]

    patch.setattr(Journal, "_in_spending_order", in_any_order)


def keeps_what_a_failed_atomic_group_did(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Journal, "copy", lambda journal: journal)


def follows_a_clock_that_was_set_back(patch: pytest.MonkeyPatch) -> None:
    init = Journal.__init__

    def obedient(journal: Journal, loaded: Loaded, now: Any) -> None:
        init(journal, loaded, now)
        journal.now = now

    patch.setattr(Journal, "__init__", obedient)


def ignores_the_least_balance(patch: pytest.MonkeyPatch) -> None:
    can_spend = Journal.can_spend
    patch.setattr(Journal, "can_spend", lambda journal, amount, **_least: can_spend(journal, amount, least=0))


def spends_although_debt_is_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Journal, "spendable", lambda journal: sum(lot.free for lot in journal.lots.values() if lot.is_spendable(journal.now)))


def gives_points_back_in_the_order_they_were_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "reversed", lambda uses: uses, raising=False)


def reverses_whatever_it_is_told(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(rules._UNDO, Kind.RESERVATION, rules._give_back)


def answers_for_an_account_that_is_not_open_yet(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules._Batch, "_is_open", lambda _batch, _journal: True)


MUTATIONS: list[Patch] = [
    forgets_recorded_requests,
    spends_what_is_not_available_or_expired,
    spends_pending_points,
    spends_lots_in_the_order_of_their_credits,
    never_expires_lots,
    expires_lots_a_moment_late,
    never_expires_holds,
    lets_an_order_be_paid_twice,
    forgets_what_was_reversed_before_in_the_batch,
    overlooks_operations_of_the_same_batch,
    believes_that_all_lots_were_loaded,
    spends_lots_that_were_loaded_out_of_turn,
    keeps_what_a_failed_atomic_group_did,
    follows_a_clock_that_was_set_back,
    ignores_the_least_balance,
    spends_although_debt_is_open,
    gives_points_back_in_the_order_they_were_taken,
    reverses_whatever_it_is_told,
    answers_for_an_account_that_is_not_open_yet,
]


# Some are found late, on a machine that does other things too.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_the_machine_notices_a_ledger_that(mutation: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)

    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(LedgerMachine, settings=HUNT)
