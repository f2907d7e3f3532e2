"""AccrualService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.accrual.v1 import accrual_service_pb2 as messages
from galen.accrual.v1 import accrual_service_pb2_grpc

from services.accrual.application.read_claims import ReadClaims
from services.accrual.application.register_purchase import RegisterPurchase
from services.accrual.application.submit_claim import SubmitClaim
from services.accrual.domain.claims import customer_of
from services.accrual.entrypoints.grpc.converters import claim_filter, claim_message, goods_of, position_after, provider_message
from shared.grpc.call import request_key
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens


class AccrualServicer(accrual_service_pb2_grpc.AccrualServiceServicer):
    def __init__(self, submit: SubmitClaim, register: RegisterPurchase, claims: ReadClaims, page_tokens: PageTokens) -> None:
        self._submit = submit
        self._register = register
        self._claims = claims
        self._page_tokens = page_tokens

    async def SubmitClaim(self, request: messages.SubmitClaimRequest, context: Context) -> messages.SubmitClaimResponse:
        submitted = await self._submit(customer_of(request.parent), request.number, request_key(request))
        outcome = messages.SUBMIT_OUTCOME_CREATED if submitted.created else messages.SUBMIT_OUTCOME_ALREADY_YOURS
        return messages.SubmitClaimResponse(claim=claim_message(submitted.claim), outcome=outcome)

    async def RegisterPurchase(self, request: messages.RegisterPurchaseRequest, context: Context) -> messages.RegisterPurchaseResponse:
        claim = await self._register(customer_of(request.parent), request.number, goods_of(request), request_key(request))
        return messages.RegisterPurchaseResponse(claim=claim_message(claim))

    async def GetClaim(self, request: messages.GetClaimRequest, context: Context) -> messages.GetClaimResponse:
        claim = await self._claims.get(customer_of(request.name), request.name.rpartition("/")[2])
        return messages.GetClaimResponse(claim=claim_message(claim))

    async def ListClaims(self, request: messages.ListClaimsRequest, context: Context) -> messages.ListClaimsResponse:
        page, last = await self._claims.page(claim_filter(request, self._page_tokens.open(request)))
        token = "" if last is None else self._page_tokens.seal(request, position_after(last))
        return messages.ListClaimsResponse(claims=map(claim_message, page), next_page_token=token)

    async def GetProviderStatus(self, request: messages.GetProviderStatusRequest, context: Context) -> messages.GetProviderStatusResponse:
        return messages.GetProviderStatusResponse(status=provider_message(await self._claims.provider()))
