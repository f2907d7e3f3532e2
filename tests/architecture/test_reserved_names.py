"""The id `-` stands for all accounts where accounts are read, so nothing may be called like that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from buf.validate import validate_pb2
from galen.accrual.v1 import accrual_service_pb2
from galen.balance.v1 import balance_service_pb2

FORMS = ("{}", "programs/main/accounts/{}", "programs/main/accounts/{}/holds/1", "programs/main/accounts/{}/operations/1", "customers/{}")
READ_OF_ALL_ACCOUNTS = {"ListExpiringLotsRequest", "WatchOperationsRequest", "ExportOperationsRequest", "AuditAccountsRequest"}
NAMED = {
    *("CreateAccountRequest", "GetAccountRequest", "CreditPointsRequest", "WithdrawPointsRequest", "ReservePointsRequest"),
    *("ExtendHoldRequest", "CapturePointsRequest", "ReleasePointsRequest", "GetHoldRequest", "ReverseOperationRequest"),
    *("ListOperationsRequest", "GetOperationRequest", "OperationRequestKey", "BatchGetAccountsRequest", "UpdateAccountRequest"),
    *("OpeningBalance", "SubmitClaimRequest", "RegisterPurchaseRequest", "ListClaimsRequest"),
    *READ_OF_ALL_ACCOUNTS,
}


def patterns() -> Iterator[tuple[str, str]]:
    """Yields each pattern for an account or a customer, with the message that has it."""
    for file in (balance_service_pb2.DESCRIPTOR, accrual_service_pb2.DESCRIPTOR):
        for message in file.message_types_by_name.values():
            for field in message.fields:
                rules: Any = field.GetOptions().Extensions[validate_pb2.field]
                pattern = rules.string.pattern or rules.repeated.items.string.pattern
                if "A-Za-z0-9_" in pattern:
                    yield message.name, pattern


def messages_that_take(an_id: str) -> set[str]:
    return {message for message, pattern in patterns() for form in FORMS if re.search(pattern, form.format(an_id))}


@pytest.mark.parametrize("an_id", ["a", "_", "--", "-a", "a-", "1b2c-3d", "x" * 64, "-" * 64])
def test_ids_are_up_to_64_letters_digits_dashes_and_underscores(an_id: str) -> None:
    assert messages_that_take(an_id) == NAMED


def test_a_lone_dash_is_taken_only_where_all_accounts_can_be_read() -> None:
    assert messages_that_take("-") == READ_OF_ALL_ACCOUNTS


@pytest.mark.parametrize("an_id", ["", "x" * 65, "a b", "a/b", "ä"])
def test_nothing_else_is_an_id(an_id: str) -> None:
    assert messages_that_take(an_id) == set()
