"""What the environment may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.accrual.settings import AccrualSettings


def settings(**given: object) -> AccrualSettings:
    return AccrualSettings(database_uri="postgresql://u:p@h/d", page_token_key_file=Path("key"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:8090", "http://127.0.0.1:8090"),
        ("localhost:8090/", "http://localhost:8090"),
        ("http://accrual/", "http://accrual"),
        ("https://accrual.example/base/", "https://accrual.example/base"),
    ],
)
def test_the_accrual_systems_address_needs_no_scheme_and_may_end_with_a_slash(given: str, address: str) -> None:
    assert settings(accrual_system_address=given).accrual_system_address == address


@pytest.mark.parametrize(
    "wrong",
    [
        {"accrual_system_address": "ftp://accrual"},
        {"accrual_system_address": ""},
        {"accrual_system_address": "http://accrual?a=b"},
        {"lease_s": 9, "provider_total_s": 5},
        {"database_connections_max": 13},
        {"fault_at": "somewhere"},
    ],
)
def test_settings_that_can_not_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)
