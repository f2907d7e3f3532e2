"""Looks for what must not be there in everything that a stack has printed and written down."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.e2e.stack_process import StackProcess


def secrets_of(stack: StackProcess) -> set[str]:
    """The stack's own: its database's password, its services' tokens, its keys."""
    keys = stack.state.keys
    files = [stack.state.postgres_home() / "password", keys / "page_token.key", *keys.glob("tokens/*.jwt")]
    pem_lines = [line for file in keys.glob("*.pem") for line in file.read_text().splitlines() if not line.startswith("-----")]
    return {file.read_text().strip() for file in files} | set(pem_lines)


def logs_of(stack: StackProcess) -> list[Path]:
    """Everything that was written for people to read."""
    return [stack.output_file, *stack.state.logs.iterdir()]


def found_in_logs(stack: StackProcess, secrets: Iterable[str]) -> list[str]:
    """Returns `file: line` of each line that holds one of `secrets`."""
    wanted = set(secrets)
    assert all(len(secret) >= 8 for secret in wanted), "what is short may stand there by chance"
    return [
        f"{file.name}: {line}"
        for file in logs_of(stack)
        for line in file.read_text(errors="replace").splitlines()
        if any(secret in line for secret in wanted)
    ]
