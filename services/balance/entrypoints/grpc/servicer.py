"""BalanceService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from uuid import UUID

from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import balance_service_pb2_grpc, operation_pb2

from services.balance.application.apply_batch import ApplyBatch
from services.balance.application.open_account import OpenAccount
from services.balance.application.post_points import PostPoints
from services.balance.application.programs import Programs
from services.balance.application.read_statement import ReadStatement
from services.balance.domain.commands import Command
from services.balance.domain.names import AccountName, hold_name, last_number, program_id
from services.balance.entrypoints.grpc import commands
from services.balance.entrypoints.grpc.batches import BatchConverter, account_names
from services.balance.entrypoints.grpc.converters import account_message, hold_message, operation_message, program_message
from services.balance.entrypoints.grpc.history import HistoryConverter, statement_filter
from services.balance.entrypoints.grpc.proof import Proof
from shared.grpc.call import current_principal, request_key
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens, page_size


class BalanceServicer(balance_service_pb2_grpc.BalanceServiceServicer):
    def __init__(
        self,
        accounts: OpenAccount,
        points: PostPoints,
        statement: ReadStatement,
        page_tokens: PageTokens,
        batch: ApplyBatch,
        converter: BatchConverter,
        programs: Programs,
        history: HistoryConverter,
        proof: Proof,
    ) -> None:
        self._accounts = accounts
        self._points = points
        self._statement = statement
        self._page_tokens = page_tokens
        self._batch = batch
        self._converter = converter
        self._programs = programs
        self._history = history
        self._proof = proof

    async def CreateAccount(self, request: messages.CreateAccountRequest, context: Context) -> messages.CreateAccountResponse:
        name = AccountName.parse(f"{request.parent}/accounts/{request.account_id}")
        return messages.CreateAccountResponse(account=account_message(await self._accounts.open(name, request_key(request))))

    async def GetAccount(self, request: messages.GetAccountRequest, context: Context) -> messages.GetAccountResponse:
        if request.HasField("as_of_time"):
            return await self._history.past_account(request)
        account = await self._accounts.get(AccountName.parse(request.name))
        return messages.GetAccountResponse(account=account_message(account))

    async def CreditPoints(self, request: messages.CreditPointsRequest, context: Context) -> messages.CreditPointsResponse:
        operation, replayed = await self._post(commands.credit(request))
        return messages.CreditPointsResponse(operation=operation, replayed=replayed)

    async def WithdrawPoints(self, request: messages.WithdrawPointsRequest, context: Context) -> messages.WithdrawPointsResponse:
        operation, replayed = await self._post(commands.withdraw(request))
        return messages.WithdrawPointsResponse(operation=operation, replayed=replayed)

    async def ReservePoints(self, request: messages.ReservePointsRequest, context: Context) -> messages.ReservePointsResponse:
        operation, replayed = await self._post(commands.reserve(request, current_principal.get()))
        hold = hold_name(AccountName.parse(request.account), operation.version)
        return messages.ReservePointsResponse(operation=operation, replayed=replayed, hold=hold)

    async def ExtendHold(self, request: messages.ExtendHoldRequest, context: Context) -> messages.ExtendHoldResponse:
        operation, replayed = await self._post(commands.extend(request))
        return messages.ExtendHoldResponse(operation=operation, replayed=replayed, hold=request.hold)

    async def CapturePoints(self, request: messages.CapturePointsRequest, context: Context) -> messages.CapturePointsResponse:
        operation, replayed = await self._post(commands.capture(request))
        return messages.CapturePointsResponse(operation=operation, replayed=replayed, hold=request.hold)

    async def ReleasePoints(self, request: messages.ReleasePointsRequest, context: Context) -> messages.ReleasePointsResponse:
        operation, replayed = await self._post(commands.release(request))
        return messages.ReleasePointsResponse(operation=operation, replayed=replayed, hold=request.hold)

    async def ReverseOperation(self, request: messages.ReverseOperationRequest, context: Context) -> messages.ReverseOperationResponse:
        operation, replayed = await self._post(commands.reverse(request))
        return messages.ReverseOperationResponse(operation=operation, replayed=replayed)

    async def BatchApply(self, request: messages.BatchApplyRequest, context: Context) -> messages.BatchApplyResponse:
        wishes = self._converter.wishes(request, current_principal.get())
        results = await self._batch.apply(program_id(request.parent), wishes, atomic=request.mode == messages.BATCH_MODE_ATOMIC)
        return messages.BatchApplyResponse(results=self._converter.results(results))

    async def ImportBalances(self, request: messages.ImportBalancesRequest, context: Context) -> messages.ImportBalancesResponse:
        results = await self._batch.apply(program_id(request.parent), self._converter.openings(request), atomic=False)
        return messages.ImportBalancesResponse(results=self._converter.results(results))

    async def BatchGetAccounts(self, request: messages.BatchGetAccountsRequest, context: Context) -> messages.BatchGetAccountsResponse:
        names = account_names(request)
        return messages.BatchGetAccountsResponse(accounts=map(account_message, await self._accounts.get_many(names)))

    async def UpdateAccount(self, request: messages.UpdateAccountRequest, context: Context) -> messages.UpdateAccountResponse:
        command = commands.set_min_balance(request)
        await self._points.post(command)
        return messages.UpdateAccountResponse(account=account_message(await self._accounts.get(command.account)))

    async def CreateProgram(self, request: messages.CreateProgramRequest, context: Context) -> messages.CreateProgramResponse:
        program = await self._programs.create(request.program_id, request.title, request_key(request))
        return messages.CreateProgramResponse(program=program_message(program))

    async def ListPrograms(self, request: messages.ListProgramsRequest, context: Context) -> messages.ListProgramsResponse:
        position = self._page_tokens.open(request)
        page, last = await self._programs.page(position[0] if position else "", page_size(request.page_size))
        token = self._page_tokens.seal(request, [last]) if last else ""
        return messages.ListProgramsResponse(programs=map(program_message, page), next_page_token=token)

    async def GetHold(self, request: messages.GetHoldRequest, context: Context) -> messages.GetHoldResponse:
        account = AccountName.parse(request.name)
        hold = await self._statement.hold(account, last_number(request.name))
        return messages.GetHoldResponse(hold=hold_message(account, hold))

    async def ListOperations(self, request: messages.ListOperationsRequest, context: Context) -> messages.ListOperationsResponse:
        page = await self._statement.page(statement_filter(request, self._page_tokens.open(request)))
        token = "" if page.next_version is None else self._page_tokens.seal(request, [page.next_version])
        return messages.ListOperationsResponse(operations=map(operation_message, page.operations), next_page_token=token)

    async def GetOperation(self, request: messages.GetOperationRequest, context: Context) -> messages.GetOperationResponse:
        if request.HasField("request"):
            account, actor = AccountName.parse(request.request.parent), current_principal.get().actor
            operation = await self._statement.by_request(account, actor, UUID(request.request.request_id))
        else:
            operation = await self._statement.by_version(AccountName.parse(request.name), last_number(request.name))
        return messages.GetOperationResponse(operation=operation_message(operation))

    async def ListExpiringLots(self, request: messages.ListExpiringLotsRequest, context: Context) -> messages.ListExpiringLotsResponse:
        return await self._history.expiring_lots(request)

    def WatchOperations(
        self, request: messages.WatchOperationsRequest, context: Context
    ) -> AsyncGenerator[messages.WatchOperationsResponse, None]:
        return self._history.watched(request)

    def ExportOperations(
        self, request: messages.ExportOperationsRequest, context: Context
    ) -> AsyncGenerator[messages.ExportOperationsResponse, None]:
        return self._history.exported(request)

    def AuditAccounts(
        self, request: messages.AuditAccountsRequest, context: Context
    ) -> AsyncGenerator[messages.AuditAccountsResponse, None]:
        return self._proof.audited(request)

    def VerifyChain(self, request: messages.VerifyChainRequest, context: Context) -> AsyncGenerator[messages.VerifyChainResponse, None]:
        return self._proof.verified(request)

    async def _post(self, command: Command) -> tuple[operation_pb2.Operation, bool]:
        posted = await self._points.post(command)
        return operation_message(posted.operation), posted.replayed
