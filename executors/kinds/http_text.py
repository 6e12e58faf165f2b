"""Text from responses in a form that can be stored, and URLs without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from stepwell.engine.clock import Clock, to_datetime

# The longest Retry-After that is obeyed, in seconds: one day.
MAX_RETRY_AFTER = 86_400.0
# How much of an answer's headers is kept, in characters.
MAX_HEADERS = 64 * 1024
OCTETS = "application/octet-stream"

_MAX_TYPE = 200
_LONGEST_URL = 300
_MASK = "…"
# Shorter secrets would match everywhere; no message quotes them anyway.
_SHORTEST_SECRET = 4


def text_of(raw: bytes) -> str:
    """Bytes of a header as text: UTF-8, or else Latin-1."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", "")


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], bool]:
    """Headers by lower-case name, and whether some were omitted because there are too many."""
    kept: dict[str, str] = {}
    size = 0
    for raw_name, raw_value in raw:
        name, value = text_of(raw_name).lower(), text_of(raw_value)
        size += len(name) + len(value)
        if size > MAX_HEADERS:
            return kept, True
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept, False


def content_type_of(headers: dict[str, str]) -> str:
    """The content type, in a form that is valid for an artifact."""
    text = "".join(char for char in headers.get("content-type", "") if char.isprintable()).strip()
    return text.encode()[:_MAX_TYPE].decode("utf-8", "ignore").strip() or OCTETS


def retry_after(text: str, clock: Clock) -> float | None:
    """Seconds from a Retry-After header, which is a number or a date. None if it is neither."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        at: datetime = parsedate_to_datetime(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        left = (at - to_datetime(clock.micros())).total_seconds()
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return min(max(0.0, left), MAX_RETRY_AFTER)


def shown_url(url: str) -> str:
    """A URL for a message: without user, password, query and fragment, which can hold secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        shown = f"{parts.scheme}://{host}{parts.path}"
    except ValueError:
        return "a URL that cannot be read"
    shown = shown if len(shown) <= _LONGEST_URL else shown[:_LONGEST_URL] + "…"
    shown = "".join(char if char.isprintable() else "?" for char in shown)
    return f"{shown}?…" if parts.query else shown


class Secrets:
    """The secrets of a request: its user and password, query, and own headers."""

    def __init__(self, url: str, headers: Iterable[str]) -> None:
        try:
            parts: SplitResult | None = urlsplit(url)
        except ValueError:
            parts = None
        found = {url, *headers}
        # The second word of "Bearer abc" is a secret of its own.
        found.update(word for value in headers for word in value.split())
        if parts is not None:
            user, _, password = parts.netloc.rpartition("@")[0].partition(":")
            found.update((user, password, unquote(user), unquote(password), parts.query))
            found.update(value for _, value in parse_qsl(parts.query))
            found.update(pair.partition("=")[2] for pair in parts.query.split("&"))
        known = {secret for secret in found if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(known, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """The text without these secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text
