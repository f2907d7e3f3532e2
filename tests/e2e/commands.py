"""Programs that a person runs beside the stack, and what they print."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.local.state_folder import PROJECT
from tests.e2e.stack_process import GALEN, environment

COMMAND_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended and what it printed."""

    status: int
    output: str
    errors: str


async def run(*command: str) -> Ran:
    """Runs a program in the project's folder, where the README says to stand."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=PROJECT,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(COMMAND_LIMIT_S):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, output.decode(), errors.decode())


async def galen(*arguments: str) -> Ran:
    return await run(*GALEN, *arguments)


async def shell(line: str) -> Ran:
    """Runs a line as it is pasted into a terminal."""
    return await run("bash", "-c", line)


def banner_commands(output: str) -> list[str]:
    """The lines of the last banner that can be copied."""
    _, _, banner = output.rpartition("Galen is ready")
    return [line.strip() for line in banner.splitlines() if line.startswith("  ")]


def program_of(command: str) -> str:
    """`buf` for `.venv/bin/buf curl ...`."""
    words: Sequence[str] = shlex.split(command)
    return words[0].rpartition("/")[2]
