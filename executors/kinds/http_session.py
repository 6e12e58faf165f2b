"""How `http.fetch` talks: one aiohttp session for one request, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from stepwell.engine.clock import Clock, SystemClock, to_datetime
from stepwell.engine.context import StepContext
from stepwell.engine.errors import Permanent, Retryable, RetryAfter, StepError
from stepwell.engine.model import ArtifactRef
from stepwell.executors.kinds.http import HttpFetch
from stepwell.executors.kinds.spool import SMALL, Spool

CHUNK = 64 * 1024
EXCERPT = 500
# A server may ask for patience, but not for more than a day of it, in seconds.
MAX_RETRY_AFTER = 86_400.0


async def fetch(
    step: StepContext, request: HttpFetch, clock: Clock | None = None
) -> dict[str, Any]:
    """Send `request`. Raises Retryable, RetryAfter or Permanent with an `http_…` code."""
    clock = clock or SystemClock()
    began = clock.monotonic()
    try:
        timeout = aiohttp.ClientTimeout(total=request.timeout)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            _send(session, request) as got,
        ):
            with Spool(request.max_bytes) as body:
                await _read(got, request, body)
                if not request.accepts(got.status):
                    raise _refused(got, body, clock)
                content_type = got.headers.get("Content-Type", "application/octet-stream")[:200]
                stored = await _keep(step, body, content_type)
                return {
                    "status": got.status,
                    "url": str(got.url),
                    "headers": _plain(got.headers),
                    "content_type": content_type,
                    "size": body.size,
                    "sha256": body.sha256,
                    "artifact_id": stored.id,
                    "elapsed": round(clock.monotonic() - began, 6),
                }
    except TimeoutError:
        raise Retryable(
            "http_timeout", f"{request.url}: no answer within {request.timeout:g} seconds"
        ) from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise Permanent("http_invalid_url", f"{request.url}: cannot go to {error}") from None
    except aiohttp.TooManyRedirects:
        raise Permanent("http_redirects", f"{request.url}: redirected too often") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Retryable(
            "http_connect", f"{request.url}: {str(error) or type(error).__name__}"
        ) from error


def _send(session: aiohttp.ClientSession, request: HttpFetch) -> Any:
    extra: dict[str, Any] = {}
    if request.json_body is not None:
        extra["json"] = request.json_body
    elif request.body is not None:
        extra["data"] = request.body.encode()
    return session.request(
        request.method,
        request.url,
        headers=request.headers,
        allow_redirects=request.follow_redirects,
        **extra,
    )


async def _read(got: aiohttp.ClientResponse, request: HttpFetch, body: Spool) -> None:
    async for chunk in got.content.iter_chunked(CHUNK):
        body.write(chunk)
        if body.truncated:
            raise Permanent(
                "http_too_large",
                f"{request.url}: the body is larger than max_bytes ({request.max_bytes:,})",
                details={"status": got.status, "max_bytes": request.max_bytes},
            )


async def _keep(step: StepContext, body: Spool, content_type: str) -> ArtifactRef:
    if body.size <= SMALL:
        return body.keep(step, "body", content_type)
    return await asyncio.to_thread(body.keep, step, "body", content_type)


def _refused(got: aiohttp.ClientResponse, body: Spool, clock: Clock) -> StepError:
    message = f"{got.url}: status {got.status} {got.reason or ''}".rstrip()
    details = {"status": got.status, "url": str(got.url), "excerpt": body.tail(EXCERPT)}
    if got.status != 429 and got.status < 500:
        return Permanent("http_status", message, details=details)
    delay = _retry_after(got.headers.get("Retry-After", ""), clock)
    if delay is None:
        return Retryable("http_status", message, details=details)
    return RetryAfter(delay, "http_status", message, details=details)


def _retry_after(text: str, clock: Clock) -> float | None:
    """Seconds from a Retry-After header: a number of them, or a date. None when it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER)
    try:
        at: datetime = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    left = (at - to_datetime(clock.micros())).total_seconds()
    return min(max(0.0, left), MAX_RETRY_AFTER)


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    plain: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        plain[key] = f"{plain[key]}, {value}" if key in plain else value
    return plain
