"""A mail server of a few lines, on a free port of this machine: it keeps what is handed in, and refuses what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(slots=True)
class MailServerHandle:
    """`answers` are given to `RCPT TO`, in turn, before mail is taken again; `silent` keeps everybody waiting."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    silent: bool = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.silent:
                await reader.read()
                return
            writer.write(b"220 here\r\n")
            while line := await reader.readline():
                answer = await self._answer(line.decode().strip(), reader, writer)
                writer.write(f"{answer}\r\n".encode())
                if answer.startswith("221"):
                    return
        finally:
            writer.close()

    async def _answer(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        match line.upper().split(":")[0].split(" ")[0]:
            case "RCPT":
                if self.answers:
                    return self.answers.pop(0)
                self.recipients.append(line.partition("<")[2].partition(">")[0])
                return "250 fine"
            case "DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                message = message_from_bytes(text[:-3].replace(b"\r\n", b"\n"), policy=policy.default)
                assert isinstance(message, EmailMessage)
                self.mails.append(message)
                return "250 taken"
            case "QUIT":
                return "221 bye"
            case _:
                return "250 fine"


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServerHandle]:
    handle = MailServerHandle()
    server = await asyncio.start_server(handle.talk, "127.0.0.1", 0)
    handle.port = server.sockets[0].getsockname()[1]
    try:
        yield handle
    finally:
        server.close()
