"""`galen demo`: the loyalty loop before your eyes, on the running stack, or on one that is started for it.

A customer registers, uploads an order number, the accrual system calculates, points arrive, some are spent, and the statement shows it.
Then they shop: see demo_shop.py. Every answer is checked; the demo ends with status 1 if one is not what it should be.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import jwt
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from deploy.local.demo_shop import Person, Shopping, ShoppingFailed
from deploy.local.keys import KeyFolder
from deploy.local.state_folder import StateFolder
from shared.luhn import with_check_digit
from shared.money import decimal_text

GOODS = [("Vitamin C, 30 tablets", Decimal("14599.50")), ("Thermometer", Decimal("147.5"))]
REWARDS = [("Vitamin", 5, "%"), ("Thermometer", Decimal("12.5"), "pt")]
EARNED = Decimal("742.48")  # 5 % of 14599.50 is 729.975; with 12.5 it is 742.475, rounded half up
SPENT = Decimal("300.5")
START_LIMIT_S = 60.0
POINTS_LIMIT_S = 60.0


class DemoFailed(Exception):
    """Something is not as it should be; the text says what."""


def demo(state: Path) -> int:
    """Runs the demo; returns the exit status."""
    console = Console(soft_wrap=True)
    try:
        with running_stack(StateFolder(state), console) as stack:
            asyncio.run(Demo(stack, KeyFolder(StateFolder(state).keys), console).run())
    except (DemoFailed, ShoppingFailed, aiohttp.ClientError, grpc.aio.AioRpcError, OSError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}")
        return 1
    return 0


@contextmanager
def running_stack(folder: StateFolder, console: Console) -> Iterator[dict[str, Any]]:
    """Yields where the stack answers; starts one, and stops it afterwards, if none runs."""
    stack = folder.running_stack() if folder.path.exists() else None
    if stack is not None:
        yield stack
        return
    console.print("No stack runs: starting one ...")
    command = [sys.executable, "-m", "deploy.local.cli", "up", "--state", str(folder.path), "--log-format", "json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield _wait_for(folder, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(START_LIMIT_S)


def _wait_for(folder: StateFolder, process: subprocess.Popen[str]) -> dict[str, Any]:
    give_up = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise DemoFailed(f"the stack did not start: {process.stderr.read().strip() if process.stderr else ''}")
        stack = folder.running_stack() if folder.path.exists() else None
        if stack is not None:
            return stack
        time.sleep(0.1)
    raise DemoFailed("the stack did not become ready")


class Demo:
    """One customer's journey."""

    def __init__(self, stack: dict[str, Any], keys: KeyFolder, console: Console) -> None:
        self._stack = stack
        self._keys = keys
        self._console = console
        self._login = f"ada-{secrets.token_hex(4)}"
        self._number = with_check_digit(str(secrets.randbelow(10**15)).zfill(15))
        self._token = ""

    async def run(self) -> None:
        """Raises DemoFailed."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            await self._register(session)
            earned = await self._earn(session)
            await self._spend(session, earned)
            await self._show_statement(earned)
        await self._shop()
        self._console.print("[bold green]Everything adds up.[/]")

    async def _register(self, session: aiohttp.ClientSession) -> None:
        self._step(f"Register as [cyan]{self._login}[/]")
        credentials = {"login": self._login, "password": secrets.token_urlsafe(12)}
        answer = await self._call(session, "POST", "/api/user/register", 200, json=credentials)
        self._token = answer.headers["Authorization"].removeprefix("Bearer ")
        self._step("Upload a number that is none: its last digit is wrong")
        await self._call(session, "POST", "/api/user/orders", 422, data="12345678902", headers={"Content-Type": "text/plain"})

    async def _earn(self, session: aiohttp.ClientSession) -> Decimal:
        if self._stack["simulated"]:
            await self._buy(session)
        self._step(f"Upload the order number [cyan]{self._number}[/]")
        await self._call(session, "POST", "/api/user/orders", 202, data=self._number, headers={"Content-Type": "text/plain"})
        await self._call(session, "POST", "/api/user/orders", 200, data=self._number, headers={"Content-Type": "text/plain"})
        earned = await self._wait_for_points(session)
        if self._stack["simulated"]:
            _expect(earned == EARNED, f"{EARNED} points should have been earned, not {earned}")
        balance = await (await self._call(session, "GET", "/api/user/balance", 200)).json(loads=_exact)
        _expect(balance == {"current": earned, "withdrawn": 0}, f"the balance is {balance}")
        return earned

    async def _buy(self, session: aiohttp.ClientSession) -> None:
        self._step("The shop tells the accrual system what was bought, and which goods earn points")
        system = self._stack["accrual_system"]
        for match, reward, kind in REWARDS:
            body = f'{{"match": "{match}", "reward": {reward}, "reward_type": "{kind}"}}'
            await self._outside(session, f"{system}/api/goods", body, (200, 409))
        goods = ", ".join(f'{{"description": "{description}", "price": {price}}}' for description, price in GOODS)
        await self._outside(session, f"{system}/api/orders", f'{{"order": "{self._number}", "goods": [{goods}]}}', (202,))

    async def _wait_for_points(self, session: aiohttp.ClientSession) -> Decimal:
        give_up = time.monotonic() + POINTS_LIMIT_S
        with Live(Spinner("dots", "NEW"), console=self._console, transient=True) as live:
            while time.monotonic() < give_up:
                (order,) = await (await self._call(session, "GET", "/api/user/orders", 200, quiet=True)).json(loads=_exact)
                live.update(Spinner("dots", f"{order['status']} ..."))
                if order["status"] in ("PROCESSED", "INVALID"):
                    self._console.print(f"   {order['status']}, {order.get('accrual', 0)} points")
                    return Decimal(order.get("accrual", 0))
                await asyncio.sleep(0.2)
        raise DemoFailed("the points did not arrive")

    async def _spend(self, session: aiohttp.ClientSession, earned: Decimal) -> None:
        self._step("Spend more than there is")
        withdraw = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}
        await self._withdraw(session, earned + 1, 402, withdraw)
        spent = min(SPENT, earned)
        self._step(f"Spend {spent}, twice under one Idempotency-Key: it counts once")
        number = with_check_digit(str(secrets.randbelow(10**15)))
        withdraw["Idempotency-Key"] = secrets.token_hex(8)
        for _ in range(2):
            await self._withdraw(session, spent, 200, withdraw, number)
        balance = await (await self._call(session, "GET", "/api/user/balance", 200)).json(loads=_exact)
        _expect(balance == {"current": earned - spent, "withdrawn": spent}, f"the balance is {balance}")

    async def _withdraw(
        self, session: aiohttp.ClientSession, amount: Decimal, status: int, headers: dict[str, str], number: str | None = None
    ) -> None:
        body = f'{{"order": "{number or with_check_digit("1234567")}", "sum": {amount}}}'
        await self._call(session, "POST", "/api/user/balance/withdraw", status, data=body, headers=headers)

    async def _show_statement(self, earned: Decimal) -> None:
        """Asks the ledger itself, over gRPC, with the customer's own token."""
        self._step("The statement, from the ledger over gRPC")
        customer = await self._customer_id()
        async with grpc.aio.insecure_channel(self._stack["grpc"]["balance"]) as channel:
            request = messages.ListOperationsRequest(parent=f"programs/main/accounts/{customer}", include_refused=True)
            statement = await BalanceServiceStub(channel).ListOperations(request, metadata=self._metadata, timeout=5)
        self._console.print(statement_table(list(statement.operations)))
        left = statement.operations[0].balance_after
        _expect(Decimal(left) / 100 == earned - min(SPENT, earned), f"the ledger says {decimal_text(left)}")

    async def _shop(self) -> None:
        """Needs the simulated card provider: a real one has no test cards."""
        if not self._stack["payments_simulated"]:
            return
        customer = Person(await self._customer_id(), self._metadata)
        async with grpc.aio.insecure_channel(self._stack["grpc"]["orders"]) as channel:
            await Shopping(channel, self._keys, customer, self._console).run()

    async def _customer_id(self) -> str:
        # Whoever bears a token may look into it.
        return str(jwt.decode(self._token, options={"verify_signature": False})["sub"])

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),)

    async def _call(
        self, session: aiohttp.ClientSession, method: str, path: str, status: int, *, quiet: bool = False, **request: Any
    ) -> aiohttp.ClientResponse:
        headers = {**request.pop("headers", {}), **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        response = await session.request(method, self._stack["edge"] + path, headers=headers, **request)
        body = (await response.text()).strip()
        if not quiet:
            self._console.print(f"   {method} {path} -> [bold]{response.status}[/] [dim]{body[:120]}[/]", highlight=False, soft_wrap=True)
        _expect(response.status == status, f"{method} {path} gave {response.status} instead of {status}: {body}")
        return response

    async def _outside(self, session: aiohttp.ClientSession, url: str, body: str, statuses: tuple[int, ...]) -> None:
        response = await session.post(url, data=body, headers={"Content-Type": "application/json"})
        _expect(response.status in statuses, f"POST {url} gave {response.status}: {await response.text()}")

    def _step(self, text: str) -> None:
        self._console.print(f"[bold]»[/] {text}")


def statement_table(operations: list[operation_pb2.Operation]) -> Table:
    """Returns a customer's statement, oldest first."""
    table = Table("No.", "When", "What", "Order", "Points", "Balance")
    for operation in reversed(operations):
        refused = operation.state == operation_pb2.OPERATION_STATE_REFUSED
        kind = operation_pb2.OperationKind.Name(operation.kind).removeprefix("OPERATION_KIND_").lower()
        table.add_row(
            str(operation.version),
            operation.create_time.ToDatetime().strftime("%H:%M:%S"),
            f"{kind} (refused)" if refused else kind,
            operation.reference,
            decimal_text(operation.requested_amount if refused else operation.amount),
            decimal_text(operation.balance_after),
        )
    return table


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)
