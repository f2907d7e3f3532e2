"""Audits and verifications of chains, as messages of the contract."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.application.audit_accounts import AuditAccounts
from services.balance.application.programs import Programs
from services.balance.application.verify_chain import VerifyChain
from services.balance.domain.errors import ChainNotFound, ProgramNotFound
from services.balance.domain.invariants import Finding
from services.balance.domain.names import AccountName, last_number, operation_name, program_id
from services.balance.domain.verification import ChainFinding

EVERY_ACCOUNT = "-"


class Proof:
    """A step that found something is a message for each finding, and one without: the progress."""

    def __init__(self, audits: AuditAccounts, chains: VerifyChain, programs: Programs) -> None:
        self._audits = audits
        self._chains = chains
        self._programs = programs

    async def audited(self, request: messages.AuditAccountsRequest) -> AsyncGenerator[messages.AuditAccountsResponse, None]:
        """Audits what the request names. Raises Overloaded."""
        name = AccountName.parse(request.parent)
        steps = self._audits.all(name.program) if name.account_id == EVERY_ACCOUNT else self._audits.one(name)
        async with aclosing(steps):
            async for step in steps:
                for finding in (*map(_audit_finding, step.findings), None):
                    yield messages.AuditAccountsResponse(finding=finding, accounts_audited=step.audited, accounts_total=step.total)

    async def verified(self, request: messages.VerifyChainRequest) -> AsyncGenerator[messages.VerifyChainResponse, None]:
        """Verifies the chain that the request names: the chains serve all programmes. Raises ChainNotFound, Overloaded."""
        try:
            await self._programs.require(program_id(request.name))
        except ProgramNotFound as error:
            raise ChainNotFound from error
        parts = self._chains.run(last_number(request.name))
        async with aclosing(parts):
            async for part in parts:
                for finding in (*map(_chain_finding, part.findings), None):
                    yield messages.VerifyChainResponse(finding=finding, links_verified=part.verified)


def _audit_finding(finding: Finding) -> messages.AuditFinding:
    return messages.AuditFinding(
        invariant=finding.rule,
        account=str(finding.account or ""),
        operation=_operation(finding.account, finding.version),
        description=finding.description,
    )


def _chain_finding(finding: ChainFinding) -> messages.ChainFinding:
    return messages.ChainFinding(
        fault=messages.ChainFault.ValueType(finding.fault),
        link=finding.link,
        operation=_operation(finding.account, finding.version),
        description=finding.description,
    )


def _operation(account: AccountName | None, version: int | None) -> str:
    return operation_name(account, version) if account and version else ""
