"""What the orders service reads from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.jobs.limits import CONNECTIONS_MAX
from shared.settings import HostPort, ServiceSettings

# The job queue's pool, and the connection that listens for new jobs.
JOB_CONNECTIONS = CONNECTIONS_MAX + 1
# Of jobs, sweeper and feed, which callers can't use up.
WORK_CONNECTIONS = 2


def _separated(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http(s) URL")
    return value


def _mail_address(value: str) -> str:
    name, at, host = value.rpartition("@")
    if not (name and at and host) or not value.isprintable() or " " in value:
        raise ValueError("must be name@host")
    return value


CHANNELS = ("log", "smtp", "webhook")


def _channels(value: str) -> str:
    if not set(_separated(value)) <= set(CHANNELS):
        raise ValueError(f"must be names of {', '.join(CHANNELS)}, by comma")
    return value


class NotificationSettings(ServiceSettings):
    """Who is told of what happens to orders, and how."""

    notify: Annotated[str, AfterValidator(_channels)] = Field(
        default="log", description="channels by comma: log, smtp (to customers), webhook; empty for none"
    )
    notify_attempts_max: int = Field(default=12, ge=1, description="attempts to tell a channel of an event, with growing pauses")
    webhook_url: Annotated[str, AfterValidator(_http_url)] | None = Field(default=None, description="where events are posted")
    webhook_secret_file: Path | None = Field(default=None, description="the secret that posted events are signed with")
    webhook_timeout_s: float = Field(default=10.0, gt=0, description="seconds that the receiver has")
    smtp_address: HostPort | None = Field(default=None, description="the mail server")
    smtp_sender: Annotated[str, AfterValidator(_mail_address)] = Field(default="galen@localhost", description="who writes")
    smtp_encryption: Literal["none", "starttls", "tls"] = Field(default="starttls", description="none is for servers on this machine")
    smtp_user: str = Field(default="", description="whom to log in as; empty for nobody")
    smtp_password_file: Path | None = Field(default=None, description="the password of smtp_user")
    smtp_timeout_s: float = Field(default=15.0, gt=0, description="seconds that the mail server has")

    @model_validator(mode="after")
    def _channels_are_complete(self) -> NotificationSettings:
        if "webhook" in self.channels and not (self.webhook_url and self.webhook_secret_file):
            raise ValueError("NOTIFY=webhook needs WEBHOOK_URL and WEBHOOK_SECRET_FILE")
        if "smtp" in self.channels and not self.smtp_address:
            raise ValueError("NOTIFY=smtp needs SMTP_ADDRESS")
        if self.smtp_user and not self.smtp_password_file:
            raise ValueError("SMTP_USER needs SMTP_PASSWORD_FILE")
        return self

    @property
    def channels(self) -> list[str]:
        """Each once, in the order given."""
        return list(dict.fromkeys(_separated(self.notify)))


def _with_scheme(value: str) -> str:
    return (value if "://" in value else f"http://{value}").rstrip("/")


class PaymentSettings(ServiceSettings):
    """Where money and points are taken."""

    balance_address: HostPort = Field(default="127.0.0.1:50051", description="the balance service: points that pay")
    payment_provider_address: Annotated[str, AfterValidator(_with_scheme)] = Field(
        default="http://127.0.0.1:8091", description="the card provider, with or without scheme"
    )
    payment_provider_key_file: Path | None = Field(default=None, description="the key that the provider knows us by")
    payment_webhook_secrets_file: Path | None = Field(
        default=None, description="the secrets that the provider signs its messages with, one in a line; several while one is replaced"
    )
    payment_provider_timeout_s: float = Field(default=20.0, gt=0, description="seconds that the provider has for an answer")
    payment_return_url: Annotated[str, AfterValidator(_http_url)] = Field(
        default="http://127.0.0.1:8080/", description="where a payer's bank sends their browser back to"
    )
    payment_look_every_s: float = Field(default=10.0, gt=0, description="seconds between looks at payments that wait for the provider")


class OrdersSettings(NotificationSettings, PaymentSettings):
    grpc_address: HostPort = Field(default="127.0.0.1:50052", description="where gRPC is served")
    metrics_address: HostPort = Field(default="127.0.0.1:9102", description="where /metrics, /livez and /readyz are served")
    database_connections_max: int = Field(
        default=12, ge=JOB_CONNECTIONS + WORK_CONNECTIONS + 2, le=12, description="connections to PostgreSQL, at most"
    )
    customers_address: HostPort = Field(default="127.0.0.1:50054", description="the customers service: profiles and addresses")
    accrual_address: HostPort = Field(default="127.0.0.1:50053", description="the accrual service: points for purchases")
    payment_due_s: float = Field(default=900.0, gt=0, description="seconds that a new order holds its stock unpaid")
    review_due_s: float = Field(default=2 * 86400.0, gt=0, le=6 * 86400.0, description="seconds in which a pharmacist reviews an order")
    preparation_due_s: float = Field(default=4 * 3600.0, gt=0, description="seconds in which a paid order should be ready")
    collection_due_s: float = Field(default=7 * 86400.0, gt=0, description="seconds in which a ready order should be collected or shipped")
    arrival_due_s: float = Field(default=7 * 86400.0, gt=0, description="seconds after which a shipped order counts as arrived")
    return_window_s: float = Field(default=14 * 86400.0, gt=0, description="seconds in which a completed order can come back")
    feed_every_s: float = Field(default=0.2, gt=0, description="seconds between looks for events that have no place in the feed yet")
    feed_kept_days: int = Field(default=30, ge=1, description="days that a watch can be resumed after")
    watch_poll_every_s: float = Field(default=0.2, gt=0, description="seconds between looks for events that watchers wait for")
    watch_heartbeat_s: float = Field(default=5.0, gt=0, description="seconds after which a watcher who heard nothing gets a heartbeat")
    sweep_every_s: float = Field(default=5.0, gt=0, description="seconds between looks for orders and reservations past their time")
    sweep_batch: int = Field(default=100, ge=1, le=10_000, description="orders or reservations that are looked for at once")
    lots_sweep_every_s: float = Field(default=3600.0, gt=0, description="seconds between looks for lots that no longer keep long enough")
    background_work: bool = Field(default=True, description="whether `serve` runs jobs, sweeper and feed too; `worker` always does")
    jobs_dead_after_s: float = Field(default=10.0, gt=0, description="silence after which a worker is dead and its jobs are taken up")
    fault_at: str | None = Field(default=None, description="tests only: `site:n` ends the process at the n-th pass of a named place")

    @property
    def engine_connections_max(self) -> int:
        """Of the calls."""
        return self.database_connections_max - JOB_CONNECTIONS - WORK_CONNECTIONS
