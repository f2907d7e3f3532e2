"""Between the contract's messages and the domain."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from galen.accrual.v1 import accrual_service_pb2, claim_pb2, provider_pb2

from services.accrual.application.ports import ClaimFilter, Good
from services.accrual.application.read_claims import ProviderReport
from services.accrual.domain.claims import Claim, customer_of
from shared.grpc.page_tokens import page_size
from shared.grpc.timestamps import timestamp


def claim_message(claim: Claim) -> claim_pb2.Claim:
    return claim_pb2.Claim(
        name=claim.name,
        number=claim.number,
        state=claim_pb2.ClaimState.ValueType(claim.state),
        accrual=claim.earned,
        credit_operation=claim.credit_operation or "",
        create_time=timestamp(claim.created_at),
        update_time=timestamp(claim.updated_at),
    )


def provider_message(report: ProviderReport) -> provider_pb2.ProviderStatus:
    provider, until = report.provider, report.provider.silent_until(report.now)
    return provider_pb2.ProviderStatus(
        breaker=provider_pb2.BreakerState.ValueType(provider.breaker),
        blocked_until=None if until is None else timestamp(until),
        consecutive_failures=provider.consecutive_failures,
        last_success_time=None if provider.last_success_at is None else timestamp(provider.last_success_at),
        last_failure=provider.last_failure,
        pending_claims=report.backlog.pending,
        settling_claims=report.backlog.settling,
    )


def goods_of(request: accrual_service_pb2.RegisterPurchaseRequest) -> list[Good]:
    return [Good(good.description, good.price_minor) for good in request.goods]


def claim_filter(request: accrual_service_pb2.ListClaimsRequest, position: list[Any] | None) -> ClaimFilter:
    before = None if position is None else (datetime.fromisoformat(position[0]), str(position[1]))
    return ClaimFilter(customer_of(request.parent), before, page_size(request.page_size))


def position_after(claim: Claim) -> list[Any]:
    """Returns what a page token holds: the last claim of the page before."""
    return [claim.created_at.isoformat(), claim.number]
