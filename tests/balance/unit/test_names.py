"""The keys of accounts, which every table bears."""

from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from services.balance.domain.names import AccountName

NAMESPACE = UUID("6f1c2b0e-7d57-5a53-9f5e-3f0a3a0f6a11")


@given(st.text(), st.text())
def test_the_key_of_an_account_is_the_uuidv5_of_its_name(program: str, account_id: str) -> None:
    name = AccountName(program, account_id)

    assert name.key == uuid5(NAMESPACE, f"programs/{program}/accounts/{account_id}")
    assert name.key_text == str(name.key)


def test_names_of_the_same_parts_are_the_same() -> None:
    assert {AccountName("main", "ada"): 1}[AccountName.parse("programs/main/accounts/ada/operations/7")] == 1
    assert AccountName("main", "ada") != AccountName("main", "bob")
