"""What no caller should send, to the calls whose other tests are elsewhere: a typed error each, and nothing changes."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp

from shared.grpc.errors import PeerError
from shared.testing.errors import refusal_of
from tests.balance.world import Owner, new_id, refused_without_effect

HUGE = 1_000_000_000_001
INVALID = grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"


def told(refusal: PeerError) -> tuple[grpc.StatusCode, str]:
    return refusal.code, refusal.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": 0}, "INVALID_REQUEST"),
        ({"amount": -1}, "INVALID_REQUEST"),
        ({"amount": HUGE}, "INVALID_REQUEST"),
        ({"amount": 2**63 - 1}, "INVALID_REQUEST"),
        ({"order_number": ""}, "INVALID_REQUEST"),
        ({"order_number": "1" * 10_000}, "INVALID_REQUEST"),
        ({"order_number": "12a"}, "INVALID_REQUEST"),
        ({"order_number": "٣٤"}, "INVALID_REQUEST"),
        ({"order_number": "79927398710"}, "ORDER_NUMBER_INVALID"),
        ({"request_id": ""}, "INVALID_REQUEST"),
        ({"request_id": "0"}, "INVALID_REQUEST"),
    ],
    ids=lambda given: str(given)[:40],
)
async def test_a_malformed_withdrawal_is_refused_without_effect(owner: Owner, fields: dict[str, Any], reason: str) -> None:
    await owner.credit(10)

    refusal = await refused_without_effect(owner, owner.to_withdraw(**{"amount": 1, **fields}))

    assert told(refusal) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert await owner.available() == 10


async def test_points_of_a_programme_that_is_not_there_can_be_neither_earned_nor_spent(owner: Owner, balance: Any) -> None:
    elsewhere = f"programs/none/accounts/{owner.id}"
    batch = messages.BatchApplyRequest(
        parent="programs/none",
        mode=messages.BATCH_MODE_INDEPENDENT,
        request_id=new_id(),
        commands=[messages.BatchCommand(credit=owner.to_credit(1, account=elsewhere))],
    )

    for call in (
        owner.send(owner.to_credit(1, account=elsewhere)),
        owner.send(owner.to_withdraw(1, account=elsewhere)),
        balance.BatchApply(batch, metadata=owner.accrual, timeout=10),
    ):
        assert told(await refusal_of(call)) == (grpc.StatusCode.NOT_FOUND, "PROGRAM_NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"min_balance": HUGE}, "INVALID_REQUEST"),
        ({"min_balance": -HUGE}, "INVALID_REQUEST"),
        ({"etag": "x" * 65}, "INVALID_REQUEST"),
        ({"etag": "not of ours"}, "VERSION_MISMATCH"),
        ({"etag": "9" * 60}, "VERSION_MISMATCH"),
        ({"name": "programs/main/accounts/nobody-was-ever-called-this"}, "ACCOUNT_NOT_FOUND"),
        ({"request_id": "-"}, "INVALID_REQUEST"),
    ],
    ids=lambda given: str(given)[:40],
)
async def test_a_least_balance_that_can_not_be_is_refused_without_effect(
    owner: Owner, balance: Any, fields: dict[str, Any], reason: str
) -> None:
    await owner.credit(10)
    request = messages.UpdateAccountRequest(**{"name": owner.account, "min_balance": 1, "request_id": new_id(), **fields})
    admin = owner.identities.customer("root", roles=("admin",))

    assert (await refusal_of(balance.UpdateAccount(request, metadata=admin, timeout=10))).reason == reason
    assert ((await owner.stored()).account.min_balance, (await owner.read()).version) == (0, 1)


def opening(owner: Owner, **fields: Any) -> messages.OpeningBalance:
    return messages.OpeningBalance(**{"account": owner.account, "amount": 5, "reference": "old", "request_id": new_id(), **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": HUGE},
        {"reference": ""},
        {"reference": "x" * 10_000},
        {"request_id": ""},
        {"account": "programs/other/accounts/x"},
        {"account": "programs/main/accounts/a/b"},
        {"expire_time": Timestamp(seconds=2**62)},
    ],
    ids=lambda given: str(given)[:40],
)
async def test_an_import_with_a_malformed_opening_imports_nothing(owner: Owner, balance: Any, fields: dict[str, Any]) -> None:
    openings = [opening(owner), opening(owner, **fields)]
    request = messages.ImportBalancesRequest(parent="programs/main", openings=openings, request_id=new_id())
    admin = owner.identities.customer("root", roles=("admin",))

    assert told(await refusal_of(balance.ImportBalances(request, metadata=admin, timeout=10))) == INVALID
    assert (await refusal_of(owner.read())).reason == "ACCOUNT_NOT_FOUND"


async def test_lists_of_more_than_500_are_refused(owner: Owner, balance: Any) -> None:
    admin = owner.identities.customer("root", roles=("admin",))
    names = [f"programs/main/accounts/{place}" for place in range(501)]
    openings = [opening(owner) for _ in names]

    for call in (
        balance.ImportBalances(
            messages.ImportBalancesRequest(parent="programs/main", openings=openings, request_id=new_id()), metadata=admin, timeout=10
        ),
        balance.BatchGetAccounts(messages.BatchGetAccountsRequest(parent="programs/main", names=names), metadata=admin, timeout=10),
    ):
        assert told(await refusal_of(call)) == INVALID
    assert (await refusal_of(owner.read())).reason == "ACCOUNT_NOT_FOUND"
