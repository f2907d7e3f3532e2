"""BalanceService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from uuid import UUID

from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import balance_service_pb2_grpc

from services.balance.application.open_account import OpenAccount
from services.balance.application.post_points import PostPoints
from services.balance.application.read_statement import ReadStatement
from services.balance.domain.names import AccountName
from services.balance.entrypoints.grpc.converters import account_message, operation_message, statement_filter
from shared.grpc.call import current_principal, request_key
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens


class BalanceServicer(balance_service_pb2_grpc.BalanceServiceServicer):
    def __init__(self, accounts: OpenAccount, points: PostPoints, statement: ReadStatement, page_tokens: PageTokens) -> None:
        self._accounts = accounts
        self._points = points
        self._statement = statement
        self._page_tokens = page_tokens

    async def CreateAccount(self, request: messages.CreateAccountRequest, context: Context) -> messages.CreateAccountResponse:
        name = AccountName.parse(f"{request.parent}/accounts/{request.account_id}")
        return messages.CreateAccountResponse(account=account_message(await self._accounts.open(name)))

    async def GetAccount(self, request: messages.GetAccountRequest, context: Context) -> messages.GetAccountResponse:
        account = await self._accounts.get(AccountName.parse(request.name))
        return messages.GetAccountResponse(account=account_message(account))

    async def CreditPoints(self, request: messages.CreditPointsRequest, context: Context) -> messages.CreditPointsResponse:
        account = AccountName.parse(request.account)
        posted = await self._points.credit(account, request.amount, request.reference, request_key(request))
        return messages.CreditPointsResponse(operation=operation_message(posted.operation), replayed=posted.replayed)

    async def WithdrawPoints(self, request: messages.WithdrawPointsRequest, context: Context) -> messages.WithdrawPointsResponse:
        account = AccountName.parse(request.account)
        posted = await self._points.withdraw(account, request.amount, request.order_number, request_key(request))
        return messages.WithdrawPointsResponse(operation=operation_message(posted.operation), replayed=posted.replayed)

    async def ListOperations(self, request: messages.ListOperationsRequest, context: Context) -> messages.ListOperationsResponse:
        page, next_version = await self._statement.page(statement_filter(request, self._page_tokens.open(request)))
        token = "" if next_version is None else self._page_tokens.seal(request, [next_version])
        return messages.ListOperationsResponse(operations=map(operation_message, page), next_page_token=token)

    async def GetOperation(self, request: messages.GetOperationRequest, context: Context) -> messages.GetOperationResponse:
        if request.HasField("request"):
            account, actor = AccountName.parse(request.request.parent), current_principal.get().actor
            operation = await self._statement.by_request(account, actor, UUID(request.request.request_id))
        else:
            version = int(request.name.rpartition("/")[2])
            operation = await self._statement.by_version(AccountName.parse(request.name), version)
        return messages.GetOperationResponse(operation=operation_message(operation))
