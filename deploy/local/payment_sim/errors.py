"""Answers that say no, in the provider's words (docs.stripe.com/api/errors)."""

from __future__ import annotations

from deploy.local.payment_sim.models import Document

DOCS = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """A request is refused. `intent` is the id of the payment intent that the answer shows, as it is after the refusal.

    `kept`: the refusal is remembered under the request's idempotency key, as everything is that a request was carried out for; faults of
    the request itself are not.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 (the API's word)
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
        intent: str | None = None,
        details: Document | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.retry_after_s = retry_after_s
        self.intent = intent
        self.error: Document = {"message": message, "type": type, **(details or {})}
        if code is not None:
            self.error |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        if param is not None:
            self.error["param"] = param


def missing_parameter(name: str) -> ApiError:
    return ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def unknown_parameter(name: str) -> ApiError:
    return ApiError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def invalid(name: str, message: str, code: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=name)


def no_such(kind: str, name: str, param: str) -> ApiError:
    return ApiError(404, f"No such {kind}: '{name}'", code="resource_missing", param=param)


def unexpected_state(intent: str, message: str) -> ApiError:
    return ApiError(400, message, code="payment_intent_unexpected_state", intent=intent, kept=True)


def internal_error() -> ApiError:
    message = "An unknown error occurred. It has been looked at by nobody: this is a simulated failure."
    return ApiError(500, message, type="api_error", kept=True)


def rate_limited(retry_after_s: int | None = None) -> ApiError:
    message = "Request rate limit exceeded. Learn more about rate limits here: https://stripe.com/docs/rate-limits."
    return ApiError(429, message, code="rate_limit", retry_after_s=retry_after_s)


def lock_timeout() -> ApiError:
    message = (
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this"
        " error intermittently, retry the request."
    )
    return ApiError(429, message, code="lock_timeout")


def key_in_use(key: str) -> ApiError:
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other"
        f" request is still going through): {key}. If you want to submit a new request with a different set of parameters, use another key."
    )
    return ApiError(409, message, code="idempotency_key_in_use")


def key_reused(key: str, first_path: str, path: str) -> ApiError:
    same = "parameters" if first_path == path else "endpoint"
    where = "" if first_path == path else f" ('{path}' vs '{first_path}')"
    message = (
        f"Keys for idempotent requests can only be used with the same {same} they were first used with{where}."
        f" Try using a key other than '{key}' if you meant to execute a different request."
    )
    return ApiError(400, message, type="idempotency_error")
