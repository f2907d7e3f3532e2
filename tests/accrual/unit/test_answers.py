"""What the provider says, read strictly: an answer is exact or it is none."""

from __future__ import annotations

import pytest

from services.accrual.adapters.http.accrual_system import purchase_document
from services.accrual.adapters.http.answers import read_answer
from services.accrual.application.ports import Good, ProviderFailed
from services.accrual.domain.claims import UNDER_WAY, Answer, State

JSON = "application/json"


def processed(accrual: str) -> bytes:
    return f'{{"order":"18","status":"PROCESSED","accrual":{accrual}}}'.encode()


@pytest.mark.parametrize(
    ("accrual", "hundredths"),
    [
        ("500", 50000),
        ("729.98", 72998),
        ("0.01", 1),
        ("1e3", 100000),
        ("0.1", 10),
        ("27.25", 2725),
        ("1.005", 101),  # a third decimal is rounded half up; as a float this would be 1.00
        ("1.0049999999999999999", 100),
        ("729.975", 72998),
        ("10000000000", 1_000_000_000_000),
        ("0", None),
        ("0.004", None),
        ("-0", None),
        ("null", None),
    ],
)
def test_an_accrual_is_read_exactly(accrual: str, hundredths: int | None) -> None:
    assert read_answer("18", JSON, processed(accrual)) == Answer(State.PROCESSED, hundredths)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("REGISTERED", UNDER_WAY),
        ("PROCESSING", UNDER_WAY),
        ("INVALID", Answer(State.INVALID)),
        ("PROCESSED", Answer(State.PROCESSED)),
    ],
)
def test_the_statuses_of_the_contract(status: str, answer: Answer) -> None:
    assert read_answer("18", JSON, f'{{"order":"18","status":"{status}"}}'.encode()) == answer


@pytest.mark.parametrize("content_type", [None, "application/json", "Application/JSON; charset=utf-8"])
def test_json_is_recognised(content_type: str | None) -> None:
    assert read_answer("18", content_type, processed("1")).accrual == 100


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"PROCESSED"',
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"order":"26","status":"PROCESSED","accrual":1}',
        b'{"order":18,"status":"PROCESSED","accrual":1}',
        b'{"order":"18"}',
        b'{"order":"18","status":"DONE"}',
        b'{"order":"18","status":"processed"}',
        b'{"order":"18","status":["PROCESSED"]}',
        b'{"order":"18","status":"PROCESSED","status":"INVALID"}',
        b'{"order":"18","status":"PROCESSED","accrual":1,"accrual":100}',
        *(
            processed(accrual)
            for accrual in (
                '"500"',
                "true",
                "{}",
                "[1]",
                "-1",
                "-0.001",
                "-500.5",
                "NaN",
                "Infinity",
                "-Infinity",
                "1e999999999",
                "1e-999999999999999999999",
                "9" * 5000,
                "10000000000.01",
                "1e30",
                "0x10",
            )
        ),
        b'{"order":"18","status":"PROCESSING","accrual":-1}',
    ],
)
def test_nonsense_is_no_answer(body: bytes) -> None:
    with pytest.raises(ProviderFailed) as failed:
        read_answer("18", JSON, body)

    assert failed.value.kind == "nonsense"
    assert len(str(failed.value)) < 200


def test_another_content_type_is_no_answer() -> None:
    with pytest.raises(ProviderFailed):
        read_answer("18", "text/html", processed("1"))


def test_prices_are_written_as_exact_decimals_and_texts_as_json() -> None:
    goods = [Good('Kettle "Bork" чайник', 1459950), Good("Cup", 100), Good("Free", 0)]

    assert purchase_document("18", goods) == (
        '{"order":"18","goods":[{"description":"Kettle \\"Bork\\" чайник","price":14599.5},'
        '{"description":"Cup","price":1},{"description":"Free","price":0}]}'
    )
