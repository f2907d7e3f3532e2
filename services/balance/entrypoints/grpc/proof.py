"""What an audit and a verification say, as messages of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.application.audit_accounts import AuditAccounts, Progress
from services.balance.domain.invariants import Finding
from services.balance.domain.names import AccountName, operation_name

EVERY_ACCOUNT = "-"


async def audited(audits: AuditAccounts, request: messages.AuditAccountsRequest) -> AsyncIterator[messages.AuditAccountsResponse]:
    """Audits what the request names."""
    name = AccountName.parse(request.parent)
    steps = audits.all(name.program) if name.account_id == EVERY_ACCOUNT else audits.one(name)
    async with aclosing(steps):
        async for step in steps:
            for response in _audit_responses(step):
                yield response


def _audit_responses(step: Progress) -> Iterator[messages.AuditAccountsResponse]:
    for finding in step.findings:
        yield messages.AuditAccountsResponse(
            finding=_audit_finding(finding), accounts_audited=step.audited, accounts_total=step.total
        )  # fmt: skip
    yield messages.AuditAccountsResponse(accounts_audited=step.audited, accounts_total=step.total)


def _audit_finding(finding: Finding) -> messages.AuditFinding:
    account, version = finding.account, finding.version
    return messages.AuditFinding(
        invariant=finding.invariant.name,
        account=str(account) if account else "",
        operation=operation_name(account, version) if account and version else "",
        description=finding.description,
    )
