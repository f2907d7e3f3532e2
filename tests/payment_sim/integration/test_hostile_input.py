"""Requests that no honest client sends, or that a mistaken one does: always an answer in the provider's words, never a 500."""

from __future__ import annotations

import aiohttp
import pytest

from deploy.local.payment_sim.testing import SimulatorHandle
from tests.payment_sim.client import Api

CREATE = "/v1/payment_intents"


@pytest.mark.parametrize(
    ("form", "param", "code"),
    [
        ("currency=rub", "amount", "parameter_missing"),
        ("amount=5", "currency", "parameter_missing"),
        ("amount=0&currency=rub", "amount", "parameter_invalid_integer"),
        ("amount=-5&currency=rub", "amount", "parameter_invalid_integer"),
        ("amount=5.5&currency=rub", "amount", "parameter_invalid_integer"),
        ("amount=%D9%A5&currency=rub", "amount", "parameter_invalid_integer"),
        ("amount=100000000&currency=rub", "amount", "amount_too_large"),
        ("amount=5&currency=roubles", "currency", "invalid_request_error"),
        ("amount=5&currency=rub&capture_method=later", "capture_method", "invalid_request_error"),
        ("amount=5&currency=rub&amuont=6", "amuont", "parameter_unknown"),
        ("amount=5&currency=rub&payment_method=pm_card_gold", "payment_method", "resource_missing"),
        ("amount=5&currency=rub&metadata=7", "metadata", "invalid_request_error"),
        ("amount=5&currency=rub&metadata[" + "a" * 41 + "]=7", "metadata[" + "a" * 40 + "]", "invalid_request_error"),
        ("amount=5&currency=rub&metadata[a]=" + "7" * 501, "metadata[a]", "invalid_request_error"),
        ("amount=5&currency=rub&metadata[a]=%00", "metadata[a]", "invalid_request_error"),
        ("amount=5&currency=rub&payment_method_types=card", "payment_method_types", "invalid_request_error"),
        ("amount=5&currency=rub&return_url=https://x", "return_url", "invalid_request_error"),
        ("amount=5&currency=rub&confirm=true&payment_method=pm_card_visa", "return_url", "invalid_request_error"),
        ("amount[a]=5&currency=rub", "amount", "invalid_request_error"),
        ("][=5", "][", "parameter_unknown"),
    ],
)
async def test_a_wrong_parameter_is_named_and_nothing_happens(
    api: Api, simulator: SimulatorHandle, form: str, param: str, code: str
) -> None:
    reply = await api.post(CREATE, form)

    assert (reply.status, reply.document["error"]["param"], reply.code) == (400, param, code)
    assert simulator.events() == []


@pytest.mark.parametrize(
    "form", ["amount=5&currency=%FF", "&".join(f"metadata[k{n}]=1" for n in range(600)), "a=1;" * 300, "=", "&&&", "%"]
)
async def test_a_form_that_is_none_is_refused(api: Api, form: str) -> None:
    assert (await api.post(CREATE, form)).status == 400


async def test_a_body_that_is_too_long_is_refused(api: Api) -> None:
    assert (await api.post(CREATE, "amount=5&currency=" + "r" * (1 << 18))).status == 413


@pytest.mark.parametrize(
    "path",
    [
        f"{CREATE}/pi_none",
        f"{CREATE}/%00",
        f"{CREATE}/{'x' * 3000}",
        "/v1/refunds/re_none",
        "/v1/events/evt_none",
        "/v1/customers",
        "/v1/",
    ],
)
async def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    reply = await api.get(path)
    assert (reply.status, reply.document["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "created[gte]=x", "created=7", "starting_after=evt_none", "x=1"])
async def test_a_wrong_question_is_refused(api: Api, query: str) -> None:
    assert (await api.get(f"/v1/events?{query}")).status in (400, 404)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic x", "Basic eDo=", "Bearer pk_test_1", "Digest sk_test"])
async def test_without_a_secret_key_there_is_no_answer(api: Api, authorization: str) -> None:
    reply = await api.post(CREATE, "amount=5&currency=rub", Authorization=authorization)
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Stripe"')


async def test_the_key_may_come_as_a_user_name(api: Api) -> None:
    sent = aiohttp.encode_basic_auth("sk_test_1", "") if hasattr(aiohttp, "encode_basic_auth") else aiohttp.BasicAuth("sk_test_1").encode()
    assert (await api.post(CREATE, "amount=5&currency=rub", Authorization=sent)).status == 200


async def test_an_idempotency_key_that_is_too_long_is_refused(api: Api) -> None:
    assert (await api.create(key="k" * 256)).status == 400
    assert (await api.create(key="k" * 255)).status == 200


async def test_markup_in_a_currency_or_a_secret_is_not_shown(api: Api, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{api.url}/pay/%3Cscript%3E") as answer:
        assert (answer.status, "<script>" in await answer.text()) == (404, False)
