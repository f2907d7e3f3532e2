"""`galen audit`: recomputes the ledger of the running stack and verifies its hash chains, with progress."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from deploy.local.keys import KeyFolder
from deploy.local.state_folder import StateFolder

CHAINS = 16
# More findings than that are counted, not shown.
SHOWN_MAX = 50
# Of a token, which is verified once, when a call begins; the longest audit takes minutes.
LIFETIME = timedelta(hours=1)
LISTING_LIMIT_S = 10.0
FOUND, UNKNOWN = 1, 2

Metadata = tuple[tuple[str, str], ...]
# The rule or fault, where it shows, and what was expected and found.
Line = tuple[str, str, str]


@dataclass
class Report:
    """What was found so far."""

    lines: list[Line] = field(default_factory=list)
    count: int = 0

    def add(self, *line: str) -> None:
        self.count += 1
        if self.count <= SHOWN_MAX:
            rule, where, what = line
            self.lines.append((rule, where, what))


def audit(state: Path, program: str | None = None, console: Console | None = None) -> int:
    """Audits the accounts of one programme, or of all, and verifies all chains; returns the exit status."""
    console = console or Console(soft_wrap=True)
    folder = StateFolder(state)
    stack = folder.running_stack()
    if stack is None:
        console.print("[bold red]galen:[/] no stack runs on this folder; start one with galen up")
        return UNKNOWN
    try:
        token = KeyFolder(folder.keys).mint_for_person(str(uuid.uuid4()), ["admin"], LIFETIME)
        with grpc.insecure_channel(stack["grpc"]["balance"]) as channel:
            report = _Auditor(BalanceServiceStub(channel), (("authorization", f"Bearer {token}"),), console).run(program)
    except (grpc.RpcError, OSError, ValueError) as error:
        console.print("[bold red]galen:[/] the ledger could not be audited:", Text(_reason(error)))
        return UNKNOWN
    return _show(report, console)


class _Auditor:
    def __init__(self, stub: BalanceServiceStub, metadata: Metadata, console: Console) -> None:
        self._stub = stub
        self._metadata = metadata
        self._console = console
        self._report = Report()

    def run(self, program: str | None) -> Report:
        """Raises grpc.RpcError."""
        programs = [f"programs/{program}"] if program else list(self._programs())
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            for name in programs:
                self._audit(name, progress)
            task, links, verified = progress.add_task("hash chains", total=CHAINS), 0, 0
            for chain in range(CHAINS):
                for verified in self._verify(f"{programs[0]}/chains/{chain}"):
                    progress.update(task, description=f"hash chains, {links + verified} links")
                links += verified
                progress.advance(task)
        return self._report

    def _programs(self) -> Iterator[str]:
        request = messages.ListProgramsRequest(page_size=1000)
        while True:
            page = self._stub.ListPrograms(request, metadata=self._metadata, timeout=LISTING_LIMIT_S)
            yield from (program.name for program in page.programs)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _audit(self, program: str, progress: Progress) -> None:
        task = progress.add_task(f"accounts of {program}", total=None)
        for said in self._stub.AuditAccounts(messages.AuditAccountsRequest(parent=f"{program}/accounts/-"), metadata=self._metadata):
            if said.HasField("finding"):
                self._report.add(said.finding.invariant, said.finding.operation or said.finding.account, said.finding.description)
            progress.update(task, completed=said.accounts_audited, total=said.accounts_total)

    def _verify(self, chain: str) -> Iterator[int]:
        """Yields how many links have been verified so far."""
        for said in self._stub.VerifyChain(messages.VerifyChainRequest(name=chain), metadata=self._metadata):
            if said.HasField("finding"):
                fault = messages.ChainFault.Name(said.finding.fault)
                self._report.add(fault, said.finding.operation or f"{chain}, link {said.finding.link}", said.finding.description)
            yield said.links_verified


def _show(report: Report, console: Console) -> int:
    if not report.count:
        console.print("[bold green]Nothing was found.[/]")
        return 0
    table = Table("rule", "where", "what", title=f"{report.count} findings", title_justify="left")
    for line in report.lines:
        table.add_row(*map(Text, line))  # as it is: names of customers are no markup
    console.print(table)
    if report.count > len(report.lines):
        console.print(f"and {report.count - len(report.lines)} more")
    return FOUND


def _reason(error: Exception) -> str:
    if isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return str(error)
