"""The HTTP exchange of `http.fetch`: one aiohttp session per request, and what its errors mean.

The outcome is either an answer that can be stored, or a failure with a code. An odd answer is still
an answer. No message contains secrets.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import aiohttp

from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.errors import Permanent, Retryable, RetryAfter, StepError, one_line
from stepwell.engine.model import ArtifactRef
from stepwell.engine.step.context import StepContext
from stepwell.executors.kinds.http import HttpFetch
from stepwell.executors.kinds.http_address import PublicOnly
from stepwell.executors.kinds.http_decoding import Undecodable, decode, encodings_of
from stepwell.executors.kinds.http_hops import MOST_HOPS, REDIRECTS, Hop, json_bytes
from stepwell.executors.kinds.http_text import (
    Secrets,
    content_type_of,
    headers_of,
    retry_after,
    shown_url,
    text_of,
)
from stepwell.executors.kinds.sources import open_source
from stepwell.executors.kinds.spool import SMALL, Spool

CHUNK = 64 * 1024
EXCERPT = 500
# The largest header, in bytes; some servers send more than aiohttp's default of 8 KiB.
MAX_HEADER = 64 * 1024
MAX_HEADERS = 1_000

_LIMITS: dict[str, Any] = {"max_line_size": MAX_HEADER, "max_field_size": MAX_HEADER}
if "max_headers" in inspect.signature(aiohttp.ClientSession).parameters:
    _LIMITS["max_headers"] = MAX_HEADERS


@dataclass
class Answer:
    """The head of an answer, and why its body was not read completely, if so."""

    status: int
    reason: str
    url: str
    headers: dict[str, str]
    headers_truncated: bool
    trouble: StepError | None = None


async def fetch(
    step: StepContext, request: HttpFetch, clock: Clock | None = None
) -> dict[str, Any]:
    """Send `request`. Raises Retryable, RetryAfter or Permanent with an `http_…` code."""
    clock = clock or SystemClock()
    began = clock.monotonic()
    with Spool(request.max_bytes) as body, Spool(request.max_bytes) as decoded:
        talk = _Talk(step, request, body)
        answer = await talk.answer()
        kept, encodings = body, encodings_of(answer.headers.get("content-encoding", ""))
        if encodings and body.size and answer.trouble is None:
            try:
                await _aside(body, decode, body, encodings, decoded)
                kept, encodings = decoded, []
            except Undecodable:
                pass  # it is kept unchanged
        else:
            encodings = encodings if body.size else []
        if not request.accepts(answer.status):
            raise _refused(answer, talk.hidden, kept, clock)
        if answer.trouble is not None:
            raise answer.trouble
        if kept.truncated:
            raise _too_large(request, answer.status)
        content_type = content_type_of(answer.headers)
        stored: ArtifactRef = await _aside(kept, kept.keep, step, "body", content_type)
        return {
            "status": answer.status,
            "url": answer.url,
            "headers": answer.headers,
            "headers_truncated": answer.headers_truncated,
            "content_type": content_type,
            "content_encoding": ", ".join(encodings) or None,
            "size": kept.size,
            "sha256": kept.sha256,
            "artifact_id": stored.id,
            "elapsed": round(clock.monotonic() - began, 6),
        }


class _Talk:
    """One request with its redirects, up to the final answer."""

    def __init__(self, step: StepContext, request: HttpFetch, body: Spool) -> None:
        self._first = Hop.first(request)
        self.hidden = Secrets(request.url, self._first.own_values)
        self._step = step
        self._request = request
        self._body = body
        self._public = PublicOnly()
        self._answer: Answer | None = None

    async def answer(self) -> Answer:
        """The final answer; its body, as far as it came, is in the spool."""
        request = self._request
        hop = self._first
        allowed = request.allow_private
        guard: dict[str, Any] = {} if allowed else {"socket_factory": self._public.socket}
        try:
            async with (
                asyncio.timeout(request.timeout),
                aiohttp.ClientSession(
                    # Each hop has its own connection: if a server closed a reused connection, a
                    # body that cannot be sent twice would be lost.
                    connector=aiohttp.TCPConnector(force_close=True, **guard),
                    timeout=aiohttp.ClientTimeout(total=None),
                    auto_decompress=False,
                    **_LIMITS,
                ) as session,
            ):
                for _ in range(MOST_HOPS + 1):
                    async with self._send(session, hop) as got:
                        target = self._target(got)
                        if target is None:
                            return await self._hear(got, hop)
                    hop = hop.redirected(got.status, target)
        except TimeoutError:
            return self._out_of_time(hop)
        raise Permanent("http_redirects", f"{shown_url(request.url)}: redirected too often")

    def _target(self, got: aiohttp.ClientResponse) -> bytes | None:
        if not self._request.follow_redirects or got.status not in REDIRECTS:
            return None
        found = [value for name, value in got.raw_headers if name.lower() == b"location"]
        return found[0] if found and found[0].strip() else None

    @asynccontextmanager
    async def _send(
        self, session: aiohttp.ClientSession, hop: Hop
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one hop, before its body is read."""
        self._public.begin()
        data = await self._data(hop)
        try:
            try:
                got = await session.request(
                    hop.method, hop.url, headers=hop.headers, data=data, allow_redirects=False
                )
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise self._failure(error, hop) from None
            async with got:
                yield got
        finally:
            if data is not None and not isinstance(data, bytes):
                data.close()

    async def _data(self, hop: Hop) -> bytes | BinaryIO | None:
        request = self._request
        if not hop.has_body:
            return None
        if request.body_artifact is not None:
            return await asyncio.to_thread(open_source, self._step, request.body_artifact)
        return json_bytes(request) if request.body is None else request.body.encode()

    async def _hear(self, got: aiohttp.ClientResponse, hop: Hop) -> Answer:
        headers, truncated = headers_of(got.raw_headers)
        reason = text_of((got.reason or "").encode("utf-8", "surrogateescape"))
        answer = self._answer = Answer(got.status, reason, str(hop.url), headers, truncated)
        while answer.trouble is None:
            try:
                piece = await got.content.read(CHUNK)
            except (aiohttp.ClientError, ConnectionError):
                answer.trouble = self._cut_short(answer)
                break
            if not piece:
                break
            self._body.write(piece)
            if self._body.truncated:
                answer.trouble = _too_large(self._request, got.status)
        return answer

    def _cut_short(self, answer: Answer) -> Retryable:
        where, size = shown_url(answer.url), self._body.size
        return Retryable(
            "http_truncated",
            f"{where}: status {answer.status}, and its body broke off after {size:,} bytes",
            details={"status": answer.status, "size": size},
        )

    def _out_of_time(self, hop: Hop) -> Answer:
        late, seconds = self._answer, f"{self._request.timeout:g} seconds"
        if late is None:
            where = shown_url(str(hop.url))
            raise Retryable("http_timeout", f"{where}: no answer within {seconds}") from None
        late.trouble = Retryable(
            "http_timeout",
            f"{shown_url(late.url)}: status {late.status}, and its body was not whole "
            f"within {seconds}",
            details={"status": late.status, "size": self._body.size},
        )
        return late

    def _failure(self, error: Exception, hop: Hop) -> StepError:
        """The failure for an error without an answer."""
        where = shown_url(str(hop.url))
        if self._public.refused_all:
            return Permanent(
                "http_private",
                f"{where}: the host's address {self._public.refused} is not public, and "
                "allow_private is false",
            )
        if isinstance(error, aiohttp.ClientResponseError):
            if error.message.startswith(("Got more than", "Too many headers")):
                return Permanent(
                    "http_headers",
                    f"{where}: the answer's headers are too many, or one is longer than "
                    f"{MAX_HEADER:,} bytes",
                )
            return Retryable("http_malformed", f"{where}: what came is no answer in HTTP")
        if isinstance(error, (ValueError, aiohttp.NonHttpUrlClientError)):
            return Permanent("http_invalid_url", f"{where}: cannot be asked for as it stands")
        of_this_hop = Secrets(str(hop.url), hop.own_values)
        said = one_line(of_this_hop.mask(self.hidden.mask(str(error))) or type(error).__name__)
        return Retryable("http_connect", f"{where}: {said}")


async def _aside(spool: Spool, act: Any, *arguments: Any) -> Any:
    """Call `act`, in another thread if the spool is large."""
    if spool.size <= SMALL:
        return act(*arguments)
    return await asyncio.to_thread(act, *arguments)


def _too_large(request: HttpFetch, status: int) -> Permanent:
    return Permanent(
        "http_too_large",
        f"{shown_url(request.url)}: the body is larger than max_bytes ({request.max_bytes:,})",
        details={"status": status, "max_bytes": request.max_bytes},
    )


def _refused(answer: Answer, hidden: Secrets, body: Spool, clock: Clock) -> StepError:
    where = shown_url(answer.url)
    reason = f" {one_line(answer.reason)}" if answer.reason else ""
    message = hidden.mask(f"{where}: status {answer.status}{reason}")
    excerpt = hidden.mask(body.tail(EXCERPT))
    details = {"status": answer.status, "url": where, "excerpt": excerpt}
    if answer.status != 429 and answer.status < 500:
        return Permanent("http_status", message, details=details)
    delay = retry_after(answer.headers.get("retry-after", ""), clock)
    if delay is None:
        return Retryable("http_status", message, details=details)
    return RetryAfter(delay, "http_status", message, details=details)
