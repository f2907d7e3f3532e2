"""Whether the books of a stack are right, asked of its database and not of its services. Amounts are hundredths of a point."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from services.accrual.domain.claims import State
from services.balance.domain.model import Book, Kind
from tests.e2e.shopper import Shopper

CLAIMS: LiteralString = "select number, customer, state, accrual, credit_operation from accrual.claim where customer = any(%s)"
OPERATIONS: LiteralString = """
    select account_id, o.version, kind, reference, amount, posted_after, credit_book
      from balance.operation o join balance.account using (account_key)
     where account_id = any(%s)
     order by account_id, o.version"""
ACCOUNTS: LiteralString = """
    select account_id, version, posted, held, debt, lifetime_earned, lifetime_spent,
           (select coalesce(sum(remaining), 0)::bigint from balance.lot where lot.account_key = account.account_key) as in_lots
      from balance.account where account_id = any(%s)"""
CREDITS: LiteralString = "select from balance.operation where reference = number and kind = 1 and refusal is null"
# Of all claims in the database: those with points that were not credited exactly once, or credited without points.
NOT_CREDITED_ONCE: LiteralString = f"""
    select number from accrual.claim where (accrual is not null)::int <> (select count(*) from ({CREDITS}) as credit)"""
CREDITED_UNPUBLISHED: LiteralString = f"select number from accrual.claim where state = 2 and exists ({CREDITS})"
WITHOUT_ACCOUNT: LiteralString = """
    select login from customers.customer
     where account_opened_at is null or not exists (select from balance.account where account_id = customer_id::text)"""
JOBS: LiteralString = """
    select task_name, status::text, args::text from accrual.procrastinate_jobs
     union all
    select task_name, status::text, args::text from customers.procrastinate_jobs"""

Row = dict[str, Any]


def rows(database_uri: str, query: LiteralString, *parameters: object) -> list[Row]:
    with psycopg.connect(database_uri, row_factory=dict_row) as connection:
        return connection.execute(query, parameters).fetchall()


def check_books(database_uri: str, shoppers: Sequence[Shopper]) -> None:
    """Every claim is done, every credit and withdrawal there exactly once, every balance the sum. Raises AssertionError."""
    customers = [shopper.customer for shopper in shoppers]
    claims, operations, accounts = (rows(database_uri, query, customers) for query in (CLAIMS, OPERATIONS, ACCOUNTS))
    assert len(accounts) == len(shoppers)
    for shopper in shoppers:
        own = [row for row in operations if row["account_id"] == shopper.customer]
        _check_claims(shopper, [row for row in claims if row["customer"] == shopper.customer], own)
        _check_operations(shopper, own)
        _check_account(next(row for row in accounts if row["account_id"] == shopper.customer), own)
    assert rows(database_uri, NOT_CREDITED_ONCE) == []


def _check_claims(shopper: Shopper, claims: list[Row], operations: list[Row]) -> None:
    assert {row["number"]: row["accrual"] for row in claims} == hundredths(shopper.earned)
    assert all(row["state"] == State.PROCESSED for row in claims)
    account = f"programs/main/accounts/{shopper.customer}"
    credited = {row["reference"]: f"{account}/operations/{row['version']}" for row in operations if row["kind"] == Kind.CREDIT}
    assert {row["number"]: row["credit_operation"] for row in claims} == credited


def _check_operations(shopper: Shopper, operations: list[Row]) -> None:
    expected = [(Kind.CREDIT, *line) for line in hundredths(shopper.earned).items()]
    expected += [(Kind.WITHDRAWAL, *line) for line in hundredths(shopper.spent).items()]
    assert sorted((row["kind"], row["reference"], row["amount"]) for row in operations) == sorted(expected)


def _check_account(account: Row, operations: list[Row]) -> None:
    posted = 0
    for version, row in enumerate(operations, start=1):
        posted += row["amount"] if row["credit_book"] == Book.CUSTOMER else -row["amount"]
        assert (row["version"], row["posted_after"]) == (version, posted)
    assert (account["version"], account["posted"], account["in_lots"]) == (len(operations), posted, posted)
    assert (account["held"], account["debt"]) == (0, 0)
    assert account["lifetime_earned"] - account["lifetime_spent"] == posted


def hundredths(points: dict[str, Decimal]) -> dict[str, int]:
    return {number: int(amount * 100) for number, amount in points.items()}
