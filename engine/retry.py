"""When a failed attempt is retried. The delays come from tenacity's strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

import stepwell.engine as engine
from stepwell.engine.duration_checks import check_duration
from stepwell.engine.durations import Lasting
from stepwell.engine.errors import (
    MAX_DELAY,
    InvalidInput,
    Permanent,
    Retryable,
    RetryAfter,
    StepError,
    shown,
)
from stepwell.engine.payloads.payload import decode, encode

MAX_WAIT = MAX_DELAY.total_seconds()
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and how long to wait between attempts.

    `max_attempts` includes the first one. The delay after attempt n is `initial` ("fixed"),
    `initial * n` ("linear") or `initial * multiplier ** (n - 1)` ("exponential"), at most
    `maximum`, plus a random part of up to `jitter` times itself. Both are durations, and read as
    seconds. `retry_on` limits retries to these exception types (or their names, or error codes);
    empty means any.
    """

    max_attempts: int = 3
    wait: Literal["fixed", "linear", "exponential"] = "exponential"
    initial: Lasting[float] = field(default=cast("Any", 1.0))
    maximum: Lasting[float] = field(default=cast("Any", 300.0))
    multiplier: float = 2.0
    jitter: float = 0.1
    retry_on: Sequence[type[BaseException] | str] | type[BaseException] | str = ()

    def __post_init__(self) -> None:
        whole = isinstance(self.max_attempts, int) and not isinstance(self.max_attempts, bool)
        if not whole or not 1 <= self.max_attempts <= 10_000:
            raise InvalidInput(
                f"retry.max_attempts: must be a whole number from 1 to 10000, "
                f"got {self.max_attempts!r}"
            )
        if self.wait not in ("fixed", "linear", "exponential"):
            raise InvalidInput(
                f"retry.wait: must be 'fixed', 'linear' or 'exponential', got {self.wait!r}"
            )
        for name in ("initial", "maximum"):
            given = check_duration(getattr(self, name), f"retry.{name}", MAX_DELAY, least=_NONE)
            object.__setattr__(self, name, given.total_seconds())
        if not _is_number(self.multiplier) or not 1 <= self.multiplier <= 1000:
            raise InvalidInput(
                f"retry.multiplier: must be a number from 1 to 1000, got {self.multiplier!r}"
            )
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise InvalidInput(f"retry.jitter: must be a number from 0 to 1, got {self.jitter!r}")
        if isinstance(self.retry_on, (str, type)):
            object.__setattr__(self, "retry_on", (self.retry_on,))
        if not isinstance(self.retry_on, Iterable):
            raise InvalidInput(
                f"retry.retry_on: must hold exception types or names, got {self.retry_on!r}"
            )
        object.__setattr__(self, "retry_on", tuple(_type_name(item) for item in self.retry_on))

    def delay(self, attempt: int, chance: float) -> timedelta:
        """The delay after failed attempt number `attempt` (from 1); `chance` is from [0, 1)."""
        wait: float = engine.backoff.seconds(
            self.wait, attempt, self.initial, self.maximum, self.multiplier
        )
        return timedelta(seconds=min(wait * (1 + self.jitter * chance), MAX_WAIT))

    def covers(self, error: BaseException) -> bool:
        """Whether `retry_on` names this error: by type, by type name or by code."""
        if not self.retry_on:
            return True
        names = {_type_name(cls) for cls in type(error).__mro__ if issubclass(cls, BaseException)}
        names |= {cls.__name__ for cls in type(error).__mro__}
        if isinstance(error, StepError):
            names.add(error.code)
        # `__post_init__` made a tuple of names of whatever was given.
        return not names.isdisjoint(cast("tuple[str, ...]", self.retry_on))

    def to_json(self) -> str:
        """For the store."""
        return encode({name: getattr(self, name) for name in self.__slots__}, "retry")

    @classmethod
    def from_json(cls, text: str) -> Retry:
        """From the store; stored names are compared, never imported."""
        return cls(**decode(text))


def retry_delay(
    error: BaseException, policy: Retry | None, failures: int, chance: Callable[[], float]
) -> timedelta | None:
    """How long to wait before the next attempt; None if there is none.

    `failures` counts the failed attempts before this one. Without a policy, only errors that ask
    for a retry (`Retryable`, `RetryAfter`) are retried, by the default `Retry()`.
    """
    if isinstance(error, Permanent):
        return None
    asked = isinstance(error, Retryable)
    if policy is None:
        policy = _DEFAULT if asked else None
    if policy is None or failures + 1 >= policy.max_attempts:
        return None
    if not asked and not policy.covers(error):
        return None
    if isinstance(error, RetryAfter):
        # An author may have set it after the check.
        return max(timedelta(0), min(error.delay, MAX_DELAY))
    return policy.delay(failures + 1, chance())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _type_name(item: type | str) -> str:
    if isinstance(item, type) and issubclass(item, BaseException):
        return f"{item.__module__}.{item.__qualname__}"
    if isinstance(item, type):
        raise InvalidInput(f"retry.retry_on: {item.__qualname__} is not an exception type")
    if isinstance(item, str) and item:
        return item
    raise InvalidInput(f"retry.retry_on: must hold exception types or names, got {shown(item)}")


_DEFAULT = Retry()
