"""Refusals in the shape of OpenAI's API: `error.message`, `error.type`, `error.param`, `error.code`, and a status.

Types, codes and texts follow what the API itself answers (platform.openai.com/docs/guides/error-codes and the openai
client's errors, read 2026-11-30). Nothing of a replica's own text but a refused request's message reaches a client.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

INVALID = "invalid_request_error"
LONGEST = 1000
"""Characters of a message."""


class ApiError(Exception):
    """A request that is refused, or cannot be answered. `status` is HTTP's."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code, self.param = status, message, kind, code, param
        self.retry_after = retry_after

    def body(self) -> bytes:
        """The JSON that the client gets."""
        error = {"message": self.message[:LONGEST], "type": self.kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

    def event(self) -> bytes:
        """The same as an event of a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"

    def headers(self) -> dict[str, str]:
        """`Retry-After` where a later try makes sense: whole seconds, and milliseconds for the openai client."""
        if self.retry_after is None:
            return {}
        return {
            "retry-after": str(max(1, math.ceil(self.retry_after))),
            "retry-after-ms": f"{self.retry_after * 1e3:.0f}",
        }


def no_key() -> ApiError:
    """No key was sent."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY).",
    )


def wrong_key() -> ApiError:
    """A key that nobody has. It is not repeated: it may be another service's."""
    return ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


def not_allowed(model: str, tenant: str) -> ApiError:
    """A model that is there, and not for this tenant."""
    message = f"Project `{tenant}` does not have access to model `{model}`"
    return ApiError(403, message, code="model_not_found")


def no_model(model: str) -> ApiError:
    """A model that is not there."""
    message = f"The model `{model[:100]}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def no_url(method: str, path: str) -> ApiError:
    """A path that is not there."""
    return ApiError(404, f"Invalid URL ({method[:20]} {path[:200]})")


def no_method(method: str, path: str) -> ApiError:
    """A path that is there for another method."""
    return ApiError(405, f"Not allowed to {method[:20]} on {path[:200]}.", code="method_not_supported")


def wrong_type(found: str) -> ApiError:
    """A body that does not say that it is JSON."""
    message = f"Unsupported content type: '{found[:100]}'. This API method only accepts 'application/json' requests."
    return ApiError(415, message, code="unsupported_content_type")


def not_json() -> ApiError:
    """A body that is not JSON."""
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
        "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
    )


def missing(param: str) -> ApiError:
    """A parameter that has to be there."""
    return ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def invalid(param: str, expected: str) -> ApiError:
    """A parameter of the wrong kind."""
    return ApiError(400, f"Invalid value for '{param}': expected {expected}.", code="invalid_value", param=param)


def too_large(limit: int) -> ApiError:
    """A body over the bound."""
    return ApiError(413, f"Maximum content size limit ({limit}) exceeded.", code="request_too_large")


def too_slow() -> ApiError:
    """A body that did not come in time."""
    return ApiError(408, "The body of the request did not arrive in time.", code="request_timeout")


def rate_limited(what: str, model: str, tenant: str, limit: int, wait: float | None) -> ApiError:
    """Over a limit per minute; `what` is `requests` or `tokens`. Without a wait the request alone is over it."""
    short = {"requests": "RPM", "tokens": "TPM"}[what]
    who = f"for {model} in organization {tenant} on {what} per min ({short}): Limit {limit}."
    if wait is None:
        return ApiError(429, f"Request too large {who} It must be reduced in size.", what, "rate_limit_exceeded")
    message = f"Rate limit reached {who} Please try again in {wait:.3f}s."
    return ApiError(429, message, what, "rate_limit_exceeded", retry_after=wait)


def no_quota(wait: float) -> ApiError:
    """The day's tokens are used."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return ApiError(429, message, "insufficient_quota", "insufficient_quota", retry_after=wait)


def overloaded(wait: float) -> ApiError:
    """Too many requests are being answered and wait."""
    message = "The server is currently overloaded with other requests. Please try again later."
    return ApiError(429, message, "server_error", "engine_overloaded", retry_after=wait)


def unavailable(why: str, status: int = 503) -> ApiError:
    """No replica answered; `why` in the front's own words."""
    return ApiError(
        status, f"The model could not answer: {why}.", "server_error", "engine_unavailable", retry_after=1.0
    )


def broken(why: str) -> ApiError:
    """A stream that ended before its end."""
    return ApiError(502, f"The stream was cut off before its end: {why}.", "server_error", "stream_interrupted")


def defect() -> ApiError:
    """Our own fault; what it was stands in the log."""
    return ApiError(500, "The server had an error while processing your request.", "server_error")


def from_replica(status: int, content: bytes) -> ApiError:
    """A request that a replica refused (4xx), in OpenAI's shape whatever the replica's is."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    error = body.get("error") if isinstance(body, Mapping) else None
    fields = error if isinstance(error, Mapping) else body if isinstance(body, Mapping) else {}
    message = next(
        (str(fields[key]) for key in ("message", "detail", "error") if fields.get(key)), "refused by the engine"
    )
    texts = {key: value for key in ("code", "param") if isinstance(value := fields.get(key), str)}
    return ApiError(status, message, INVALID, texts.get("code"), texts.get("param"))
