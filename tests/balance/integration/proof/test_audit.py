"""An audit finds nothing in a ledger that nobody tampered with, and each thing that somebody did."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.adapters.postgres import snapshot
from services.balance.domain.invariants import Invariant
from shared.testing.errors import refusal_of
from tests.balance.integration.proof.tampering import Ledger
from tests.balance.world import ALLOW_NEGATIVE, CLAMP, REJECT, Call, Owner, outcome, soon, until


def any_request(owner: Owner, versions: int, chance: random.Random) -> Call:
    """Returns a random call about an account that has about so many operations."""
    hold, operation = f"{owner.account}/holds/{chance.randint(1, versions)}", f"{owner.account}/operations/{chance.randint(1, versions)}"
    amount = chance.randint(1, 80)
    policy = chance.choice([REJECT, CLAMP, ALLOW_NEGATIVE])
    expiry = chance.choice([{}, {"expire_time": soon(chance.uniform(0.05, 1))}, {"expire_time": soon(60)}])
    return owner.send(
        chance.choice(
            [
                owner.to_credit(amount, **expiry),
                owner.to_credit(amount, available_time=soon(0.1)),
                owner.to_withdraw(amount),
                owner.to_reserve(amount, **chance.choice([{}, {"ttl": timedelta(seconds=1)}])),
                owner.to_capture(hold, chance.choice([0, 5]), keep_remainder=chance.random() < 0.5),
                owner.to_release(hold),
                owner.to_extend(hold, ttl=timedelta(seconds=2)),
                owner.to_reverse(operation, chance.choice([0, 7]), shortfall_policy=policy),
            ]
        )
    )


async def live(ledger: Ledger, owner: Owner, calls: int, seed: int) -> None:
    """Does random things with an account, several at once."""
    chance = random.Random(seed)
    await owner.credit(200)
    await ledger.set_least(owner, chance.randint(-50, 20))
    for done in range(0, calls, 4):
        await asyncio.gather(*(outcome(any_request(owner, done + 1, chance)) for _ in range(4)))


async def test_a_ledger_that_served_random_commands_has_no_findings(clean: Ledger) -> None:
    owners = [clean.new_owner() for _ in range(4)]
    await asyncio.gather(*(live(clean, owner, 120, seed) for seed, owner in enumerate(owners)))

    said = await clean.audit()

    assert [response.finding for response in said if response.HasField("finding")] == []
    ((accounts,),) = await clean.sql("select count(*) from account")
    assert (said[0].accounts_audited, said[0].accounts_total) == (0, accounts)
    assert said[-1].accounts_audited == accounts
    assert [await clean.broken_rules(owner.account) for owner in owners] == [{}] * 4


async def write_on(ledger: Ledger, stop: asyncio.Event, seed: int) -> None:
    owner, chance = ledger.new_owner(), random.Random(seed)
    await owner.credit(1000)
    while not stop.is_set():
        await outcome(any_request(owner, 50, chance))


async def audits_while_writing(ledger: Ledger, seconds: float) -> int:
    """Audits over and over while others write; returns how many rules were found broken, and stops at the first."""
    stop, found = asyncio.Event(), 0
    writers = [asyncio.create_task(write_on(ledger, stop, seed)) for seed in range(6)]
    ends = asyncio.get_running_loop().time() + seconds
    while not found and asyncio.get_running_loop().time() < ends:
        found = (await ledger.broken_rules()).total()
    stop.set()
    await asyncio.gather(*writers)
    return found


async def test_writes_that_go_on_do_not_disturb_an_audit(clean: Ledger) -> None:
    assert await audits_while_writing(clean, 4) == 0


async def test_without_one_snapshot_writes_would_disturb_it(clean: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the test above can fail."""
    monkeypatch.setattr(snapshot, "BEGIN", [statement for statement in snapshot.BEGIN if "isolation" not in statement])

    assert await audits_while_writing(clean, 60) > 0


@pytest_asyncio.fixture(scope="session")
async def victim(loose: Ledger) -> Owner:
    """An account in whose history everything has happened. Its lots: 1 and 2 expire in an hour and two, 3 never, 15 has expired."""
    owner = loose.new_owner()
    await owner.credit(1000, expire_time=soon(3600))  # 1
    await owner.credit(500, expire_time=soon(7200))  # 2
    await owner.credit(400)  # 3
    await loose.set_least(owner, 10)  # 4
    paid = await owner.withdraw(200)  # 5
    await owner.withdraw(10)  # 6
    await owner.reserve(30, ttl=timedelta(seconds=1))  # 7
    kept = await owner.reserve(1000)  # 8, of lots 1 and 2
    freed = await owner.reserve(40)  # 9
    await owner.send(owner.to_release(freed))  # 10
    await owner.send(owner.to_capture(kept, 100, keep_remainder=True))  # 11
    await owner.send(owner.to_extend(kept))  # 12
    assert await outcome(owner.send(owner.to_withdraw(100_000))) == "INSUFFICIENT_POINTS"  # 13
    await owner.send(owner.to_reverse(paid.name, 50))  # 14
    expiry = soon(1.2)
    await owner.credit(50, expire_time=expiry)  # 15
    await until(expiry)
    last = await owner.credit(1)  # 18: 16 and 17 write down that hold 7 and lot 15 ran out
    assert last.version == 18
    assert await loose.broken_rules(owner.account) == {}
    return owner


@pytest_asyncio.fixture
async def tampered(loose: Ledger, victim: Owner) -> AsyncIterator[Ledger]:
    """What is done to the ledger is undone after the test."""
    await loose.save()
    yield loose
    await loose.restore()


OPERATION = "update operation set {} where account_key = %(key)s and version = {}"
ACCOUNT = "update account set {} where account_key = %(key)s"
LOT = "update lot set {} where account_key = %(key)s and lot_id = {}"
HOLD = "update hold set {} where account_key = %(key)s and hold_id = {}"
EXCHANGE = """
    update operation set version = case version when 5 then -6 when 6 then -5 end where account_key = %(key)s and version in (5, 6);
    update operation set version = -version where account_key = %(key)s and version < 0;
"""
TAMPERING = {
    "an operation is deleted": ("delete from operation where account_key = %(key)s and version = 13", "VERSIONS_HAVE_NO_GAPS"),
    "the last operation is deleted": (
        "delete from operation where account_key = %(key)s and version = 18",
        "ACCOUNT_VERSION_IS_LAST POSTED_IS_LAST_POSTED_AFTER",
    ),
    "two operations are exchanged": (EXCHANGE, "POSTED_AFTER_FOLLOWS"),
    "an amount is edited": (OPERATION.format("amount = amount + 1", 5), "USES_ADD_UP POSTED_AFTER_FOLLOWS POSTED_IS_SUM_OF_OPERATIONS"),
    "an amount is edited with all that follows from it at once": (
        OPERATION.format("amount = 1, requested_amount = 1, lot_amounts = '{1}'", 5),
        "POSTED_AFTER_FOLLOWS LOT_REMAINING_IS_SUM_OF_USES SPENT_IS_SUM_OF_SPENDING",
    ),
    "an amount is astronomic": (OPERATION.format("amount = 9223372036854775807, posted_after = 9223372036854775807", 5), "USES_ADD_UP"),
    "a running balance is edited": (OPERATION.format("posted_after = posted_after + 1", 5), "POSTED_AFTER_FOLLOWS"),
    "a running hold is edited": (OPERATION.format("held_after = held_after + 1", 8), "HELD_AFTER_FOLLOWS"),
    "more is held than there is": (OPERATION.format("held_after = 100000", 8), "NEVER_OVERDRAWN"),
    "a time is edited": (OPERATION.format("created_at = created_at - interval '1 day'", 5), "TIMES_NEVER_GO_BACK"),
    "a book is edited": (OPERATION.format("credit_book = 5", 5), "BOOKS_FIT_KIND"),
    "a book is moved out of the customer's": (OPERATION.format("debit_book = 2", 5), "BOOKS_FIT_KIND POSTED_IS_SUM_OF_OPERATIONS"),
    "what was asked for is edited": (OPERATION.format("requested_amount = 1", 5), "AMOUNT_WAS_ASKED_FOR"),
    "a refusal moves points": (OPERATION.format("amount = 5", 13), "REFUSALS_MOVE_NOTHING"),
    "the uses of a lot are edited": (OPERATION.format("lot_amounts = '{5000}'", 5), "LOT_NEVER_OVERDRAWN USES_ADD_UP"),
    "a request is repeated": (
        OPERATION.format("request_id = (select request_id from operation where account_key = %(key)s and version = 1)", 2),
        "REQUESTS_ARE_UNIQUE",
    ),
    "an order is paid twice": (OPERATION.format("reference = 'x'", "any('{5,6}')"), "ORDERS_ARE_PAID_ONCE"),
    "a capture is of a credit": (OPERATION.format("related_version = 1", 11), "RELATED_OPERATION_FITS HOLD_EXISTS"),
    "a capture is of a hold that has ended": (OPERATION.format("related_version = 9", 11), "HOLD_ENDS_ONCE HOLD_CAPTURED_IS_SUM"),
    "a reversal undoes too much": (OPERATION.format("requested_amount = 1000", 14), "REVERSALS_WITHIN_ORIGINAL"),
    "a reversal goes to another lot": (OPERATION.format("lot_ids = '{3}'", 14), "REVERSALS_GO_BACK_TO_LOTS LOT_REMAINING_IS_SUM_OF_USES"),
    "a reversal is of a refusal": (OPERATION.format("related_version = 13", 14), "RELATED_OPERATION_FITS"),
    "a debt is made up": (OPERATION.format("debt_change = 1", 5), "DEBT_IS_SUM_OF_CHANGES USES_ADD_UP"),
    "the least balance was another": (OPERATION.format("requested_amount = 5000", 4), "SPENDING_LEAVES_LEAST MIN_BALANCE_IS_LAST_SET"),
    "points are made up": (ACCOUNT.format("posted = posted + 1"), "POSTED_IS_SUM_OF_OPERATIONS POSTED_IS_LAST_POSTED_AFTER"),
    "held points are made up": (
        ACCOUNT.format("held = held + 1"),
        "HELD_IS_SUM_OF_OPERATIONS HELD_IS_LAST_HELD_AFTER HELD_IS_SUM_OF_LOTS HELD_IS_SUM_OF_HOLDS",
    ),
    "the account owes": (ACCOUNT.format("debt = 1"), "DEBT_IS_SUM_OF_CHANGES POSTED_IS_SUM_OF_LOTS"),
    "the account may owe": (ACCOUNT.format("min_balance = -1"), "MIN_BALANCE_IS_LAST_SET"),
    "the account has earned more": (ACCOUNT.format("lifetime_earned = 1"), "EARNED_IS_SUM_OF_CREDITS"),
    "the account has spent more": (ACCOUNT.format("lifetime_spent = 1"), "SPENT_IS_SUM_OF_SPENDING"),
    "the account's version is edited": (ACCOUNT.format("version = 99"), "ACCOUNT_VERSION_IS_LAST"),
    "the account's time is edited": (ACCOUNT.format("updated_at = created_at"), "ACCOUNT_TIME_IS_LAST"),
    "the account has a new name": (ACCOUNT.format("account_id = 'thief'"), "ACCOUNT_KEY_IS_OF_ITS_NAME"),
    "the account is gone": ("delete from account where account_key = %(key)s", "ROWS_HAVE_AN_ACCOUNT"),
    "a lot is gone": ("delete from lot where account_key = %(key)s and lot_id = 1", "LOT_EXISTS POSTED_IS_SUM_OF_LOTS"),
    "a lot is made up": (LOT.format("lot_id = 5", 3), "LOT_HAS_ITS_CREDIT LOT_EXISTS"),
    "a lot's amount is edited": (LOT.format("amount = 1", 1), "LOT_AMOUNT_IS_CREDITED"),
    "a lot is refilled": (LOT.format("remaining = remaining + 1", 1), "LOT_REMAINING_IS_SUM_OF_USES POSTED_IS_SUM_OF_LOTS"),
    "a lot is freed": (LOT.format("held = 0", 1), "LOT_HELD_IS_SUM_OF_USES HELD_IS_SUM_OF_LOTS"),
    "a lot expires before it is there": (LOT.format("expires_at = available_at", 1), "LOT_TIMES_ARE_IN_ORDER"),
    "a lot was not there yet": (LOT.format("available_at = now() + interval '1 minute'", 1), "SPENT_LOTS_WERE_SPENDABLE"),
    "a lot expires later": (LOT.format("expires_at = expires_at + interval '1 day'", 1), "SOONEST_LOT_FIRST"),
    "a lot that expired lives on": (LOT.format("expires_at = now() + interval '1 day'", 15), "LOTS_EXPIRE_IN_TIME"),
    "a hold is gone": ("delete from hold where account_key = %(key)s and hold_id = 8", "HOLD_EXISTS HELD_IS_SUM_OF_HOLDS"),
    "a hold is for another order": (HOLD.format("reference = 'x'", 8), "HOLD_HAS_ITS_RESERVATION"),
    "a hold is larger": (HOLD.format("amount = amount + 1", 8), "HOLD_HAS_ITS_RESERVATION HOLD_PARTS_ADD_UP"),
    "a hold has more left": (HOLD.format("remaining = remaining + 1", 8), "HOLD_PARTS_ADD_UP HELD_IS_SUM_OF_HOLDS"),
    "more was captured of a hold": (HOLD.format("captured = captured + 1", 8), "HOLD_CAPTURED_IS_SUM"),
    "a hold that was released expired": (HOLD.format("state = 3", 9), "HOLD_STATE_FITS"),
    "a hold that ran out was to last": (HOLD.format("expires_at = now() + interval '1 day'", 7), "HOLDS_EXPIRE_IN_TIME"),
    "a hold is of other lots": (HOLD.format("lot_ids = '{2,3}'", 8), "HOLD_LOTS_ARE_WHAT_IS_LEFT"),
}


@pytest.mark.parametrize(("statement", "rules"), TAMPERING.values(), ids=TAMPERING.keys())
async def test_the_audit_finds_that(tampered: Ledger, victim: Owner, statement: str, rules: str) -> None:
    for part in statement.split(";"):
        if part.strip():
            await tampered.sql(part, key=victim.name.key)

    assert set(rules.split()) <= set(await tampered.broken_rules(victim.account))


def test_every_rule_is_seen_to_be_broken() -> None:
    seen = {rule for _, rules in TAMPERING.values() for rule in rules.split()}

    # The last two are of all accounts: one is tested below, the other can't be broken in a table and is tested without one.
    assert set(Invariant.__members__) - seen == {"BOOKS_MATCH_ACCOUNTS", "BOOKS_SUM_TO_ZERO"}


async def test_a_finding_names_the_account_the_operation_and_what_was_expected(tampered: Ledger, victim: Owner) -> None:
    await tampered.sql(OPERATION.format("held_after = 31", 7), key=victim.name.key)

    finding = next(said.finding for said in await tampered.audit(victim.account) if said.finding.invariant == "HELD_AFTER_FOLLOWS")

    assert (finding.account, finding.operation) == (victim.account, f"{victim.account}/operations/7")
    assert finding.description == "held_after: expected 30, found 31"


async def test_the_books_of_all_accounts_are_compared_with_the_accounts(tampered: Ledger, victim: Owner) -> None:
    await tampered.sql(ACCOUNT.format("posted = posted + 1, held = held + 1"), key=victim.name.key)

    assert (await tampered.broken_rules())["BOOKS_MATCH_ACCOUNTS"] == 2


async def test_rows_of_an_account_that_is_gone_are_found_in_an_audit_of_all(tampered: Ledger, victim: Owner) -> None:
    await tampered.sql("delete from account where account_key = %(key)s", key=victim.name.key)

    assert (await tampered.broken_rules())["ROWS_HAVE_AN_ACCOUNT"] == 3


async def test_an_account_that_was_never_opened_has_no_findings(clean: Ledger) -> None:
    (said,) = await clean.audit("nobody")

    assert (said.HasField("finding"), said.accounts_audited, said.accounts_total) == (False, 0, 0)


async def drained(call: AsyncIterable[object]) -> None:
    async for _ in call:
        pass


@pytest.mark.parametrize("method", ["AuditAccounts", "VerifyChain"])
async def test_only_staff_and_admins_may_ask_for_proof(clean: Ledger, method: str) -> None:
    request = {
        "AuditAccounts": messages.AuditAccountsRequest(parent="programs/main/accounts/-"),
        "VerifyChain": messages.VerifyChainRequest(name="programs/main/chains/0"),
    }[method]
    call, people = getattr(clean.calls, method), clean.identities

    for caller in (people.customer("-"), people.customer("c"), people.service("orders"), people.customer("p", roles=("pharmacist",))):
        assert (await refusal_of(drained(call(request, metadata=caller, timeout=5)))).reason == "ACCESS_DENIED"
    assert (await refusal_of(drained(call(request, timeout=5)))).reason == "CREDENTIALS_MISSING"
    for role in ("staff", "admin"):
        await drained(call(request, metadata=people.customer("s", roles=(role,)), timeout=20))


@pytest.mark.parametrize(
    "parent", ["", "programs/main", "programs/main/accounts/", "programs/main/accounts/a b", "programs/x/accounts/-/-"]
)
async def test_what_names_no_account_is_refused(clean: Ledger, parent: str) -> None:
    request = messages.AuditAccountsRequest(parent=parent)

    assert (await refusal_of(drained(clean.calls.AuditAccounts(request, metadata=clean.staff, timeout=5)))).reason == "INVALID_REQUEST"


async def test_more_than_two_proofs_at_once_are_too_many_and_one_whose_caller_went_away_makes_room(clean: Ledger) -> None:
    running = clean.container.proofs_running()
    request = messages.AuditAccountsRequest(parent="programs/main/accounts/-")
    with running, running:
        refusal = await refusal_of(drained(clean.calls.AuditAccounts(request, metadata=clean.staff, timeout=5)))
    assert refusal.reason == "OVERLOADED"

    gone = clean.calls.AuditAccounts(request, metadata=clean.staff, timeout=5)
    await gone.read()
    gone.cancel()
    assert await running.wait_idle(5)
