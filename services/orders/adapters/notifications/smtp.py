"""Events as e-mails to customers, by the mail server of the house."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum

from services.orders.application.notifications.ports import NotDelivered, Undeliverable
from services.orders.domain.notifications.notification import Notification

# A server that is slow must not take the threads that others need.
THREADS = 2
PERMANENT = 500


class Encryption(StrEnum):
    """How the connection is encrypted: not, by STARTTLS, or from its first byte."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, as whom and by whom. `user` is empty where nobody has to log in."""

    host: str
    port: int
    sender: str
    encryption: Encryption
    timeout_s: float
    user: str = ""
    password: str = field(default="", repr=False)


class SmtpNotifier:
    """Hands mail in, a connection for each: smtplib, in threads of its own."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="smtp")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[SmtpNotifier]:
        try:
            yield self
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, notification: Notification) -> None:
        """Raises Undeliverable where the server refuses for good, NotDelivered for all else."""
        try:
            message = message_of(notification, self._server.sender)
        except (MessageError, ValueError, IndexError) as error:
            raise Undeliverable("the address can't be written to") from error
        try:
            async with asyncio.timeout(self._server.timeout_s):
                await asyncio.get_running_loop().run_in_executor(self._threads, self._hand_in, message)
        except smtplib.SMTPException as error:
            raise _failure(error) from error
        except (OSError, TimeoutError, RuntimeError) as error:
            raise NotDelivered(f"the mail server can't be reached: {type(error).__name__}") from error

    def _hand_in(self, message: EmailMessage) -> None:
        with self._connected() as connection:
            if self._server.encryption is Encryption.STARTTLS:
                connection.starttls(context=ssl.create_default_context())
            if self._server.user:
                connection.login(self._server.user, self._server.password)
            connection.send_message(message)

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.encryption is Encryption.TLS:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=context)
        return smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)


def message_of(notification: Notification, sender: str) -> EmailMessage:
    """Returns the mail; the same event gives the same Message-ID. Raises ValueError, MessageError for what is no address."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = notification.email
    message["Subject"] = notification.subject
    message["Date"] = format_datetime(notification.created_at)
    _, order, _, number = notification.id.rsplit("/", 3)
    message["Message-ID"] = f"<{order}.{number}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(filter(None, [notification.body, notification.confidential])) + "\n")
    return message


def _failure(error: smtplib.SMTPException) -> NotDelivered | Undeliverable:
    """A refusal of this message or its recipient is for good if the server says so; one of us may be a matter of settings."""
    codes = {code for code, _ in error.recipients.values()} if isinstance(error, smtplib.SMTPRecipientsRefused) else set()
    if isinstance(error, smtplib.SMTPDataError):
        codes = {error.smtp_code}
    told = f"{type(error).__name__} {sorted(codes)}" if codes else type(error).__name__
    return Undeliverable(told) if codes and min(codes) >= PERMANENT else NotDelivered(told)
