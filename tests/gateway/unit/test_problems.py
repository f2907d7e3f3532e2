from __future__ import annotations

import json

import grpc
import pytest
from aiohttp import web
from galen.options.v1 import error_pb2

from services.gateway.container import REASONS
from services.gateway.domain.errors import (
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    GatewayError,
    InsufficientPoints,
    InvalidAmount,
    InvalidHeader,
    MalformedBody,
    MalformedRequest,
    MethodNotAllowed,
    OrderNumberInvalid,
    RouteNotFound,
    UnknownContentEncoding,
    WrongMediaType,
)
from services.gateway.entrypoints.http.problems import OUR_MISTAKES, Problems
from shared.errors import GalenError, Overloaded
from shared.grpc.errors import PLATFORM_REASONS, PREFIX, ErrorCatalogue, PeerError, error_domain

TRACE = "0af7651916cd43dd8448eb211c80319c"
ALL_REASONS = [
    (error_domain(enum), value.name.removeprefix(PREFIX), value.GetOptions().Extensions[error_pb2.error].http_status)
    for enum in (PLATFORM_REASONS, *REASONS)
    for value in enum.values
    if value.number
]
EDGE_ERRORS: list[tuple[GatewayError, int]] = [
    (MalformedRequest(), 400),
    (MalformedBody("x"), 400),
    (WrongMediaType("text/plain"), 400),
    (InvalidHeader("x"), 400),
    (RouteNotFound(), 404),
    (MethodNotAllowed({"GET"}), 405),
    (BodyTooSlow(), 408),
    (BodyTooLarge(1), 413),
    (UnknownContentEncoding(), 415),
    (InvalidAmount("x"), 422),
    (OrderNumberInvalid(), 422),
    (InsufficientPoints(), 402),
    (ClientGone(), 499),
]


@pytest.fixture(scope="module")
def problems() -> Problems:
    return Problems(ErrorCatalogue(REASONS))


def answered(problems: Problems, error: Exception) -> tuple[web.Response, dict[str, object]]:
    response = problems.answer(problems.known(error, TRACE), TRACE)
    assert response.text is not None
    return response, json.loads(response.text)


@pytest.mark.parametrize(("domain", "reason", "status"), ALL_REASONS)
def test_every_reason_of_every_contract_has_its_status(problems: Problems, domain: str, reason: str, status: int) -> None:
    response, problem = answered(problems, PeerError(grpc.StatusCode.UNKNOWN, "a sentence", domain, reason, {}, None))

    if reason in OUR_MISTAKES:
        assert (response.status, problem["reason"]) == (500, "INTERNAL")
    else:
        assert (response.status, problem["reason"], problem["detail"]) == (status, reason, "a sentence")
    assert problem["status"] == response.status
    assert problem["trace_id"] == TRACE
    assert response.content_type == "application/problem+json"
    assert ("Retry-After" in response.headers) == (response.status in (429, 503))
    assert ("WWW-Authenticate" in response.headers) == (response.status == 401)


@pytest.mark.parametrize(("error", "status"), EDGE_ERRORS)
def test_every_error_of_the_edge_has_its_status(problems: Problems, error: GatewayError, status: int) -> None:
    response, problem = answered(problems, error)
    assert (response.status, problem["reason"]) == (status, error.reason)


def test_no_error_of_the_edge_is_missing_here() -> None:
    assert {type(error) for error, _ in EDGE_ERRORS} == set(GatewayError.__subclasses__())


@pytest.mark.parametrize("error", [RuntimeError("SECRET"), KeyError("SECRET"), GalenError("SECRET")], ids=repr)
def test_what_nobody_expected_is_answered_without_a_word_of_it(problems: Problems, error: Exception) -> None:
    if isinstance(error, GalenError):
        vars(error)["reason"] = "SECRET"
    response, problem = answered(problems, error)
    assert (response.status, problem["reason"]) == (500, "INTERNAL")
    assert "SECRET" not in str(response.text)


def test_a_pause_is_rounded_up_to_whole_seconds(problems: Problems) -> None:
    response, _ = answered(problems, Overloaded(retry_after_s=1.2))
    assert (response.status, response.headers["Retry-After"]) == (429, "2")


def test_a_wrong_method_is_told_the_right_ones(problems: Problems) -> None:
    response, _ = answered(problems, web.HTTPMethodNotAllowed("PUT", ["POST", "GET"]))
    assert (response.status, response.headers["Allow"]) == (405, "GET, POST")


def test_running_out_of_time_is_a_gateway_timeout(problems: Problems) -> None:
    assert answered(problems, TimeoutError())[0].status == 504
