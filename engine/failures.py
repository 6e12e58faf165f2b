"""Converts exceptions into values that can be stored, however an exception misbehaves."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Any

from stepwell.engine.errors import StepError, StepwellError
from stepwell.engine.model import Failure
from stepwell.engine.payloads.payload import encode

MAX_CAUSE = 8_000
MAX_MESSAGE = 2_000


def describe(error: BaseException, delay: timedelta | None = None) -> Failure:
    """The exception as a value that can be stored. Never raises, however it misbehaves."""
    details: dict[str, Any] = {}
    if isinstance(error, StepError):
        try:
            encode(error.details, "details")
            details = error.details
        except StepwellError as unusable:
            details = {"unusable_details": str(unusable)}
    code = error.code if isinstance(error, StepwellError) else type(error).__name__
    return Failure(
        code=clean(code)[:200],
        message=message_of(error),
        retryable=delay is not None,
        details=details,
        cause=_cause(error),
    )


def message_of(error: BaseException) -> str:
    """The exception's message, without what a store would refuse."""
    try:
        text = str(error)
    except BaseException as broken:
        text = f"<str() of the exception failed: {type(broken).__name__}>"
    return clean(text[:MAX_MESSAGE])[:MAX_MESSAGE]


def _cause(error: BaseException) -> str:
    """The traceback from the author's code on, newest last; a long one loses its beginning."""
    try:
        lines = traceback.format_exception(error)
    except BaseException:
        return type(error).__name__
    # Cut before it is cleaned: cleaning many megabytes would block the interpreter.
    text = clean("".join(line[:MAX_CAUSE] for line in lines)[-2 * MAX_CAUSE :])
    return text if len(text) <= MAX_CAUSE else "…" + text[-MAX_CAUSE:]


def clean(text: Any) -> str:
    """The text without what a store may refuse: lone surrogates and NUL."""
    return str(text).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
