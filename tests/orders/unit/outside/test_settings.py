"""Settings of notifications: what is asked for must be complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.orders.settings import OrdersSettings


def settings(**given: Any) -> OrdersSettings:
    return OrdersSettings(database_uri="postgres://somebody@localhost/galen", page_token_key_file=Path("key"), **given)


def test_events_go_to_the_log_unless_something_else_is_asked_for() -> None:
    assert settings().channels == ["log"]
    assert settings(notify="").channels == []
    secret = Path("secret")
    several = settings(
        notify="webhook, log,webhook", webhook_url="https://shop.example/hook", webhook_secret_file=secret, smtp_address="mail:25"
    )
    assert several.channels == ["webhook", "log"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"notify": "pigeon"}, "log, smtp, webhook"),
        ({"notify": "webhook"}, "WEBHOOK_URL and WEBHOOK_SECRET_FILE"),
        ({"notify": "smtp"}, "SMTP_ADDRESS"),
        ({"smtp_user": "shop"}, "SMTP_PASSWORD_FILE"),
        ({"webhook_url": "ftp://shop.example"}, "http"),
        ({"smtp_sender": "shop"}, "name@host"),
        ({"smtp_sender": "shop@example.org\nBcc: all@example.org"}, "name@host"),
        ({"database_connections_max": 7}, "greater than or equal to 8"),
    ],
)
def test_what_is_incomplete_or_nonsense_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**given)
