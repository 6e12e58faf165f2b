"""Checks of a queue's declaration."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from stepwell.engine.duration_checks import check_duration
from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.ids import check_id
from stepwell.engine.model import Queue, QueueStatus

MAX_PERIOD = timedelta(days=31)


def check_queue(queue: Queue) -> Queue:
    """The queue, if its limits are in range. Raises InvalidInput naming the field."""
    if not isinstance(queue, Queue):
        raise InvalidInput(f"queues: must hold Queue(...), got {shown(queue)}")
    check_id(queue.name, "queue.name")
    where = f"queue {queue.name!r}"
    _whole(queue.max_in_flight, f"{where}.max_in_flight", 1_000_000)
    _whole(queue.max_per_worker, f"{where}.max_per_worker", 1_000_000)
    if not isinstance(queue.labels, (tuple, list)):
        raise InvalidInput(f"{where}.labels: must be a tuple of strings, got {shown(queue.labels)}")
    for label in queue.labels:
        check_id(label, f"{where}.labels")
    _whole(queue.burst, f"{where}.burst", 10_000_000)
    rate = queue.rate_limit
    if rate is not None and (
        isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 10_000_000
    ):
        raise InvalidInput(
            f"{where}.rate_limit: must be a number over 0 and at most 10000000, got {rate!r}"
        )
    if rate is None and queue.burst is not None:
        raise InvalidInput(f"{where}.burst: needs a rate_limit")
    check_duration(queue.rate_period, f"{where}.rate_period", MAX_PERIOD)
    return queue


def most_per_period(queue: Queue | QueueStatus) -> int | None:
    """The most claims possible within one `rate_period`; None without a rate limit.

    A full bucket and its refill during the period; with `burst=1`, the rate limit.
    """
    if queue.rate_limit is None:
        return None
    return ceil(bucket_of(queue.burst, queue.rate_limit) + queue.rate_limit) - 1


def bucket_of(burst: int | None, rate_limit: float) -> float:
    """How many tokens a bucket holds at most."""
    return burst if burst is not None else max(1.0, rate_limit)


def _whole(value: int | None, field: str, high: int) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high
    ):
        raise InvalidInput(f"{field}: must be a whole number from 1 to {high}, got {shown(value)}")
