"""The public Gophermart contract, table by table, over HTTP against the real services."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.rewards import Good
from tests.contract.shop import BALANCE, ORDERS, WITHDRAW, WITHDRAWALS, Shop, Shopper, fresh_number

REGISTER = "/api/user/register"
LOGIN = "/api/user/login"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
JSON = {"Content-Type": "application/json"}
PROTECTED = [("POST", ORDERS), ("GET", ORDERS), ("GET", BALANCE), ("POST", WITHDRAW), ("GET", WITHDRAWALS)]


def pair(login: str, password: str = "pass") -> dict[str, str]:
    return {"login": login, "password": password}


def recent(text: str) -> datetime:
    """Returns the time, which is RFC 3339 and now."""
    assert RFC_3339.fullmatch(text)
    moment = datetime.fromisoformat(text)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    return moment


class TestRegistration:
    async def test_who_registers_is_logged_in_by_the_header(self, stranger: Shopper) -> None:
        answer = await stranger.ask("POST", REGISTER, json=pair(stranger.login))
        assert answer.status == 200
        # The public suite sends the response header back as it is.
        assert (await stranger.ask("GET", ORDERS, headers={"Authorization": answer.headers["Authorization"]})).status == 204

    @pytest.mark.parametrize("path", [REGISTER, LOGIN])
    async def test_who_registers_or_logs_in_is_logged_in_by_the_cookie_over_plain_http(self, shop: Shop, path: str) -> None:
        async with shop.stranger() as first, shop.stranger(keeps_cookies=True) as browser:
            if path == LOGIN:
                await first.ask("POST", REGISTER, json=pair(browser.login))
            assert (await browser.ask("GET", ORDERS)).status == 401
            assert (await browser.ask("POST", path, json=pair(browser.login))).status == 200
            assert (await browser.ask("GET", ORDERS)).status == 204

    async def test_a_taken_login_is_a_conflict_even_with_the_same_password(self, stranger: Shopper) -> None:
        assert (await stranger.ask("POST", REGISTER, json=pair(stranger.login))).status == 200
        for password in ("pass", "other"):
            answer = await stranger.ask("POST", REGISTER, json=pair(stranger.login, password))
            assert (answer.status, answer.json["reason"]) == (409, "LOGIN_TAKEN")
            assert "Authorization" not in answer.headers

    @pytest.mark.parametrize("path", [REGISTER, LOGIN])
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b'{"login": "a"}',
            b'{"password": "a"}',
            b'{"login": "", "password": "a"}',
            b'{"login": "a", "password": ""}',
            b'{"login": 1, "password": "a"}',
            b'{"login": "a", "password": ["a"]}',
            b'{"login": "' + b"a" * 129 + b'", "password": "a"}',
            b'{"login": "a", "password": "' + b"a" * 257 + b'"}',
        ],
    )
    async def test_a_wrong_format_is_a_bad_request(self, stranger: Shopper, path: str, body: bytes) -> None:
        assert (await stranger.ask("POST", path, data=body, headers=JSON)).status == 400

    async def test_a_login_with_control_characters_is_a_bad_request(self, stranger: Shopper) -> None:
        assert (await stranger.ask("POST", REGISTER, json=pair("a\0b"))).status == 400

    async def test_a_repeat_under_the_same_key_logs_the_same_customer_in(self, shop: Shop, stranger: Shopper) -> None:
        key = {"Idempotency-Key": "my registration"}
        number = fresh_number()
        for status in (202, 200):
            answer = await stranger.ask("POST", REGISTER, json=pair(stranger.login), headers=key)
            assert answer.status == 200
            assert (await stranger.upload(number, headers={"Authorization": answer.headers["Authorization"]})).status == status
        async with shop.stranger() as other:
            assert (await other.ask("POST", REGISTER, json=pair(other.login), headers=key)).status == 200

    async def test_one_login_registered_by_many_at_once_is_one_customer(self, stranger: Shopper) -> None:
        asked = [stranger.ask("POST", REGISTER, json=pair(stranger.login, str(place))) for place in range(10)]
        assert Counter([answer.status for answer in await asyncio.gather(*asked)]) == {200: 1, 409: 9}


class TestLogin:
    async def test_the_right_pair_logs_in(self, shopper: Shopper, stranger: Shopper) -> None:
        answer = await stranger.ask("POST", LOGIN, json=pair(shopper.login, shopper.password))
        assert answer.status == 200
        stranger.headers["Authorization"] = answer.headers["Authorization"]
        number = fresh_number()
        assert (await stranger.upload(number)).status == 202
        assert (await shopper.upload(number)).status == 200

    async def test_a_wrong_password_and_an_unknown_login_are_told_the_same(self, shopper: Shopper, stranger: Shopper) -> None:
        wrong = await stranger.ask("POST", LOGIN, json=pair(shopper.login, "wrong"))
        unknown = await stranger.ask("POST", LOGIN, json=pair(str(uuid4()), shopper.password))
        assert (wrong.status, unknown.status) == (401, 401)
        assert {**wrong.json, "trace_id": ""} == {**unknown.json, "trace_id": ""}
        assert "Authorization" not in wrong.headers


class TestAuthentication:
    @pytest.mark.parametrize(("method", "path"), PROTECTED)
    async def test_without_credentials_nothing_is_shown_or_done(self, stranger: Shopper, method: str, path: str) -> None:
        assert (await stranger.ask(method, path)).status == 401

    async def test_the_scheme_may_be_left_out(self, shopper: Shopper) -> None:
        shopper.headers["Authorization"] = shopper.headers["Authorization"].removeprefix("Bearer ")
        assert (await shopper.upload(fresh_number())).status == 202

    async def test_a_token_for_other_people_than_customers_does_not_upload(self, shop: Shop, stranger: Shopper) -> None:
        stranger.headers["Authorization"] = shop.identities.customer(str(uuid4()), roles=("staff",))[0][1]
        assert (await stranger.upload(fresh_number())).status == 403


class TestUpload:
    async def test_a_number_is_accepted_once_known_afterwards_and_a_conflict_for_others(self, shop: Shop, shopper: Shopper) -> None:
        number = fresh_number()
        async with shop.new_shopper() as other:
            assert [(await who.upload(number)).status for who in (shopper, shopper, other, shopper)] == [202, 200, 409, 200]

    @pytest.mark.parametrize(
        ("number", "status"), [("", 400), ("  \n", 400), ("12345678900", 422), ("letters", 422), ("1234 5678", 422), ("-18", 422)]
    )
    async def test_what_is_no_order_number_is_refused(self, shopper: Shopper, number: str, status: int) -> None:
        assert (await shopper.upload(number)).status == status
        assert await shopper.orders() == []

    async def test_another_media_type_is_a_bad_request(self, shopper: Shopper) -> None:
        assert (await shopper.upload(fresh_number(), headers=JSON)).status == 400

    async def test_parameters_of_the_media_type_and_space_around_the_number_are_fine(self, shopper: Shopper) -> None:
        number = fresh_number()
        assert (await shopper.upload(f" {number}\n", headers={"Content-Type": "text/plain; charset=utf-8"})).status == 202
        assert [order["number"] for order in await shopper.orders()] == [number]

    async def test_a_number_has_up_to_255_digits(self, shopper: Shopper) -> None:
        longest = "0" * 239 + fresh_number()
        assert [(await shopper.upload(number)).status for number in (longest, "0" + longest)] == [202, 422]

    async def test_an_upload_may_be_packed(self, shopper: Shopper) -> None:
        number = fresh_number()
        headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
        assert (await shopper.ask("POST", ORDERS, data=gzip.compress(number.encode()), headers=headers)).status == 202
        assert (await shopper.upload(number)).status == 200

    async def test_one_number_uploaded_by_many_at_once_has_one_owner(self, shop: Shop) -> None:
        number = fresh_number()

        async def upload() -> int:
            async with shop.new_shopper() as shopper:
                return (await shopper.upload(number)).status

        assert Counter(await asyncio.gather(*(upload() for _ in range(8)))) == {202: 1, 409: 7}

    async def test_one_number_uploaded_many_times_at_once_is_new_once(self, shopper: Shopper) -> None:
        number = fresh_number()
        answers = await asyncio.gather(*(shopper.upload(number) for _ in range(8)))
        assert Counter([answer.status for answer in answers]) == {202: 1, 200: 7}


class TestOrders:
    async def test_no_orders_have_no_content(self, shopper: Shopper) -> None:
        answer = await shopper.ask("GET", ORDERS)
        assert (answer.status, answer.body) == (204, b"")

    async def test_the_newest_upload_comes_first(self, shopper: Shopper) -> None:
        numbers = [fresh_number() for _ in range(5)]
        for number in numbers:
            await shopper.upload(number)
        orders = await shopper.orders()
        assert [order["number"] for order in orders] == numbers[::-1]
        moments = [recent(order["uploaded_at"]) for order in orders]
        assert moments == sorted(moments, reverse=True)

    async def test_customers_see_their_own_orders_only(self, shop: Shop, shopper: Shopper) -> None:
        await shopper.upload(fresh_number())
        async with shop.new_shopper() as other:
            assert await other.orders() == []

    async def test_a_number_that_the_accrual_system_does_not_know_stays_new(self, shopper: Shopper) -> None:
        number = fresh_number()
        await shopper.upload(number)
        await asyncio.sleep(1)
        [order] = await shopper.orders()
        assert order.keys() == {"number", "status", "uploaded_at"}
        assert order["status"] == "NEW"

    @pytest.mark.parametrize(
        ("status", "shown"), [(Status.REGISTERED, "PROCESSING"), (Status.PROCESSING, "PROCESSING"), (Status.INVALID, "INVALID")]
    )
    async def test_statuses_of_the_accrual_system_are_shown_in_the_words_of_the_contract(
        self, shop: Shop, shopper: Shopper, status: Status, shown: str
    ) -> None:
        number = fresh_number()
        await shop.simulator.settle_order(number, status)
        await shopper.upload(number)
        order = await shopper.order_reaches(number, shown)
        assert "accrual" not in order
        assert await shopper.balance() == ("0", "0")

    @pytest.mark.parametrize("accrual", ["729.98", "500", "0.01"])
    async def test_points_are_shown_and_can_be_spent_as_soon_as_an_order_is_processed(
        self, shop: Shop, shopper: Shopper, accrual: str
    ) -> None:
        number = await shop.earn(shopper, accrual)
        assert await shopper.balance() == (accrual, "0")
        [order] = await shopper.orders()
        assert (order["number"], str(order["accrual"])) == (number, accrual)

    async def test_an_order_that_earned_nothing_has_no_accrual(self, shop: Shop, shopper: Shopper) -> None:
        number = fresh_number()
        await shop.simulator.register_order(number, Good("Nothing that earns points", Decimal(100)))
        await shopper.upload(number)
        order = await shopper.order_reaches(number, "PROCESSED")
        assert "accrual" not in order or order["accrual"] == 0
        assert await shopper.balance() == ("0", "0")

    @pytest.mark.parametrize("coding", ["identity", "gzip"])
    async def test_lists_of_several_pages_are_complete_and_in_order(self, shopper: Shopper, coding: str) -> None:
        numbers = [fresh_number() for _ in range(25)]
        for number in numbers:
            await shopper.upload(number)
        # The client unpacks by itself.
        answer = await shopper.ask("GET", ORDERS, headers={"Accept-Encoding": coding})
        assert answer.headers.get("Content-Encoding", "identity") == coding
        assert [order["number"] for order in answer.json] == numbers[::-1]


class TestWithdrawal:
    async def test_points_are_spent_exactly(self, shop: Shop, shopper: Shopper) -> None:
        await shop.earn(shopper, "729.98")
        assert (await shopper.withdraw(fresh_number(), "0.07")).status == 200
        assert (await shopper.withdraw(fresh_number(), "700.1")).status == 200
        assert await shopper.balance() == ("29.81", "700.17")
        assert (await shopper.withdraw(fresh_number(), "29.82")).status == 402
        assert (await shopper.withdraw(fresh_number(), "29.81")).status == 200
        assert await shopper.balance() == ("0", "729.98")

    async def test_who_has_nothing_can_not_pay_from_the_first_moment_on(self, stranger: Shopper) -> None:
        """The account is opened shortly after registration: the two must not look different."""
        await stranger.register()
        answer = await stranger.withdraw(fresh_number(), "1")
        assert (answer.status, answer.json["reason"]) == (402, "INSUFFICIENT_POINTS")

    @pytest.mark.parametrize(
        ("order", "amount", "status"),
        [
            ("12345678900", "1", 422),
            ("letters", "1", 422),
            ("", "1", 422),
            ("18", "0", 422),
            ("18", "-1", 422),
            ("18", "0.001", 422),
            ("18", "1e1000000", 422),
            ("18", "99999999999", 422),
            ("18", '"1"', 400),
            ("18", "null", 400),
            ("18", "1,", 400),
            ("18", "", 400),
        ],
    )
    async def test_bad_withdrawals_are_refused_and_cost_nothing(
        self, shop: Shop, shopper: Shopper, order: str, amount: str, status: int
    ) -> None:
        await shop.earn(shopper, "100")
        assert (await shopper.withdraw(order, amount)).status == status
        assert await shopper.balance() == ("100", "0")

    async def test_an_order_is_paid_once(self, shop: Shop, shopper: Shopper) -> None:
        await shop.earn(shopper, "100")
        number = fresh_number()
        assert [(await shopper.withdraw(number, "30")).status for _ in range(2)] == [200, 422]
        assert await shopper.balance() == ("70", "30")

    async def test_a_refused_attempt_does_not_use_the_number_up(self, shop: Shop, shopper: Shopper) -> None:
        number = fresh_number()
        assert (await shopper.withdraw(number, "30")).status == 402
        await shop.earn(shopper, "100")
        assert (await shopper.withdraw(number, "30")).status == 200

    async def test_others_may_pay_the_same_number_and_it_may_be_one_that_was_uploaded(self, shop: Shop, shopper: Shopper) -> None:
        uploaded = await shop.earn(shopper, "100")
        async with shop.new_shopper() as other:
            await shop.earn(other, "100")
            assert [(await who.withdraw(uploaded, "30")).status for who in (shopper, other)] == [200, 200]

    async def test_a_repeat_under_the_same_key_is_the_same_withdrawal(self, shop: Shop, shopper: Shopper) -> None:
        await shop.earn(shopper, "100")
        number, key = fresh_number(), {"Idempotency-Key": "my withdrawal"}
        answers = [await shopper.withdraw(number, amount, headers=key) for amount in ("30", "30", "31")]
        assert [answer.status for answer in answers] == [200, 200, 409]
        assert answers[2].json["reason"] == "REQUEST_ID_REUSED"
        assert await shopper.balance() == ("70", "30")

    async def test_many_withdrawals_at_once_never_overdraw(self, shop: Shop, shopper: Shopper) -> None:
        await shop.earn(shopper, "100")
        answers = await asyncio.gather(*(shopper.withdraw(fresh_number(), "9.99") for _ in range(20)))
        assert Counter([answer.status for answer in answers]) == {200: 10, 402: 10}
        assert await shopper.balance() == ("0.1", "99.9")
        assert len((await shopper.ask("GET", WITHDRAWALS)).json) == 10

    async def test_one_order_paid_by_many_requests_at_once_is_paid_once(self, shop: Shop, shopper: Shopper) -> None:
        await shop.earn(shopper, "100")
        number = fresh_number()
        answers = await asyncio.gather(*(shopper.withdraw(number, "10") for _ in range(10)))
        assert Counter([answer.status for answer in answers]) == {200: 1, 422: 9}
        assert await shopper.balance() == ("90", "10")


class TestWithdrawals:
    async def test_no_withdrawals_have_no_content(self, shopper: Shopper) -> None:
        await shopper.withdraw(fresh_number(), "1")
        answer = await shopper.ask("GET", WITHDRAWALS)
        assert (answer.status, answer.body) == (204, b"")

    async def test_the_newest_withdrawal_comes_first_and_refused_ones_do_not(self, shop: Shop, shopper: Shopper) -> None:
        await shop.earn(shopper, "100")
        paid: list[tuple[str, str]] = [(fresh_number(), amount) for amount in ("1", "2.5", "0.01")]
        for number, amount in paid:
            await shopper.withdraw(number, amount)
        await shopper.withdraw(fresh_number(), "1000")

        answer = await shopper.ask("GET", WITHDRAWALS)

        withdrawals: list[dict[str, Any]] = answer.json
        assert [(item["order"], str(item["sum"])) for item in withdrawals] == paid[::-1]
        moments = [recent(item["processed_at"]) for item in withdrawals]
        assert moments == sorted(moments, reverse=True)
        assert all(item.keys() == {"order", "sum", "processed_at"} for item in withdrawals)
