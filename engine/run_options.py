"""What can be said of a run when it starts, besides its input: when, where, for how long."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict

from stepwell.engine.clock import duration_micros, to_micros
from stepwell.engine.duration_checks import check_duration
from stepwell.engine.durations import Duration, duration_text
from stepwell.engine.errors import InvalidInput, nearest, shown
from stepwell.engine.ids import check_id
from stepwell.engine.limits import check_priority

# The longest delay, timeout and time for which a key is held.
MAX_SPAN = timedelta(days=3_660)
MAX_VERSION_BYTES = 100


class OnDuplicate(StrEnum):
    """What starting a run does if another one holds its dedup key.

    `return` gives the other one, `refuse` raises Conflict. `replace` gives a run that has not
    begun the new input, options and start time (debouncing); a run that has begun is left alone,
    and a new one is stored.
    """

    RETURN = "return"
    REFUSE = "refuse"
    REPLACE = "replace"


class Start(StrEnum):
    """What came of starting a run: a new one, another one's handle, or another one's new input."""

    STARTED = "started"
    RETURNED = "returned"
    REPLACED = "replaced"


class StartOptions(TypedDict, total=False):
    """What `start_run` takes besides the package and the input.

    `entrypoint`: where the package has several. `run_id`: made when left out; a known one gives the
    run that has it, if that is of the same entrypoint with an equal input. `name` replaces the name
    that the entrypoint sets; `metadata` and `tags` are added to what it sets.

    `queue` and `priority` (smaller first) hold for all steps whose executors name none.
    `partition_key` and `version` (of the package's code) are kept with the run.

    `dedup_key`: while a run of this package with the same key is open, no second one is stored;
    `on_duplicate` says what happens instead. `dedup_for`: the key stays taken for so long after
    the run has succeeded.

    `start_at` (an aware datetime) or `delay`: no step begins before. `max_delay`: how far `replace`
    may push the start, counted from the first call. `start_by` (a time or a duration): a run that
    has not begun by then is canceled with the code `expired`.

    `timeout` counts from the first step that begins, and stands still while the run is paused;
    `deadline` (an aware datetime) does not. When either is over, the run fails with the code
    `deadline_exceeded`.
    """

    entrypoint: str | None
    run_id: str | None
    name: str | None
    metadata: Mapping[str, Any] | None
    tags: Sequence[str]
    queue: str | None
    priority: int | None
    partition_key: str | None
    version: str | None
    dedup_key: str | None
    on_duplicate: OnDuplicate | str
    dedup_for: Duration | None
    start_at: datetime | None
    delay: Duration | None
    max_delay: Duration | None
    start_by: datetime | Duration | None
    timeout: Duration | None
    deadline: datetime | None


class RetryOptions(TypedDict, total=False):
    """What retrying gives a run that has ended.

    `deadline` (an aware datetime) replaces its own, which may have passed. `dedup_key` replaces its
    own, which another run may hold meanwhile; None leaves it without one.
    """

    deadline: datetime
    dedup_key: str | None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Checked options of a run; times are epoch microseconds, durations microseconds.

    `delay` and `start_within` count from when the run is stored, by the store's clock.
    """

    queue: str | None = None
    priority: int | None = None
    partition_key: str | None = None
    version: str | None = None
    dedup_key: str | None = None
    on_duplicate: OnDuplicate = OnDuplicate.RETURN
    dedup_for: int | None = None
    start_at: int | None = None
    delay: int | None = None
    max_delay: int | None = None
    start_by: int | None = None
    start_within: int | None = None
    timeout: int | None = None
    deadline: int | None = None


_NAMES = frozenset(StartOptions.__annotations__)
# Those that every start may have at no cost to its store; the others make `RunOptions`.
_LABELS = frozenset(("entrypoint", "run_id", "name", "metadata", "tags"))


def run_options(
    given: StartOptions,
    *,
    now: int,
    queues: Callable[[], Collection[str]],
) -> RunOptions | None:
    """The options of a run, checked; None if it has none. `now` is the time here (epoch µs).

    Raises InvalidInput naming the option, what was got and what would be right.
    """
    for name in given:
        if name not in _NAMES:
            raise InvalidInput(f"start_run: unknown option {name!r}{nearest(name, _NAMES)}")
    if _LABELS.issuperset(given):
        return None
    options = {name: value for name, value in given.items() if value is not None}
    chosen: dict[str, Any] = {}
    for name in options.keys() - _LABELS:
        chosen.update(_CHECKS[name](name, options[name]))
    if "queue" in chosen:
        _check_queue(chosen["queue"], queues())
    _check_together(chosen)
    _check_times(chosen, now)
    return RunOptions(**chosen) if chosen else None


def retry_options(given: RetryOptions) -> dict[str, Any]:
    """The options of a retry, checked: epoch µs, or left out. Raises InvalidInput."""
    known = RetryOptions.__annotations__
    for name in given:
        if name not in known:
            raise InvalidInput(f"retry: unknown option {name!r}{nearest(name, known)}")
    chosen: dict[str, Any] = {}
    deadline = given.get("deadline")
    if deadline is not None:
        chosen.update(_moment("deadline", deadline))
    if "dedup_key" in given:
        key = given["dedup_key"]
        chosen["rekeyed"] = True
        chosen["dedup_key"] = None if key is None else check_id(key, "dedup_key")
    return chosen


def _id(name: str, value: Any) -> dict[str, Any]:
    return {name: check_id(value, name)}


def _priority(name: str, value: Any) -> dict[str, Any]:
    return {name: check_priority(value, name)}


def _version(name: str, value: Any) -> dict[str, Any]:
    return {name: check_id(value, name, MAX_VERSION_BYTES)}


def _on_duplicate(name: str, value: Any) -> dict[str, Any]:
    try:
        return {name: OnDuplicate(value)}
    except ValueError:
        choices = [choice.value for choice in OnDuplicate]
        raise InvalidInput(
            f"{name}: must be one of {', '.join(map(repr, choices))}, got {shown(value)}"
            f"{nearest(value, choices)}"
        ) from None


def _span(name: str, value: Any) -> dict[str, Any]:
    """A duration in microseconds."""
    least = timedelta(0) if name == "delay" else None
    value = check_duration(value, name, MAX_SPAN, least=least)
    return {name: duration_micros(value)}


def _moment(name: str, value: Any) -> dict[str, Any]:
    """A time in epoch microseconds."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidInput(
            f"{name}: must be a datetime with a zone, such as datetime.now(UTC) + "
            f"timedelta(hours=1), got {shown(value)}"
        )
    return {name: to_micros(value)}


def _start_by(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, datetime):
        return _moment(name, value)
    return {"start_within": _span(name, value)[name]}


_CHECKS = {
    "queue": _id,
    "priority": _priority,
    "partition_key": _id,
    "version": _version,
    "dedup_key": _id,
    "on_duplicate": _on_duplicate,
    "dedup_for": _span,
    "start_at": _moment,
    "delay": _span,
    "max_delay": _span,
    "start_by": _start_by,
    "timeout": _span,
    "deadline": _moment,
}


def _check_queue(queue: str, queues: Collection[str]) -> None:
    if queue not in queues:
        raise InvalidInput(f"queue: there is no queue {queue!r}{nearest(queue, queues)}")


def _check_together(chosen: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing without others, or not with them."""
    if "start_at" in chosen and "delay" in chosen:
        raise InvalidInput("start_at: give either start_at or delay, not both")
    for name in ("on_duplicate", "dedup_for"):
        if name in chosen and "dedup_key" not in chosen:
            raise InvalidInput(f"{name}: needs a dedup_key")
    if "max_delay" in chosen:
        if chosen.get("on_duplicate") is not OnDuplicate.REPLACE or "delay" not in chosen:
            raise InvalidInput("max_delay: needs a delay and on_duplicate='replace'")
        if chosen["max_delay"] <= chosen["delay"]:
            delays = (timedelta(microseconds=chosen[name]) for name in ("max_delay", "delay"))
            longest, delay = map(duration_text, delays)
            raise InvalidInput(
                f"max_delay: must be longer than delay, got {longest} and a delay of {delay}"
            )


def _check_times(chosen: Mapping[str, Any], now: int) -> None:
    """Refuse limits that are over before the run could begin."""
    begins = chosen.get("start_at", now + chosen.get("delay", 0))
    for name in ("deadline", "start_by"):
        limit = chosen.get(name)
        if limit is not None and limit <= max(now, begins):
            what = "the start" if begins > now else "now"
            raise InvalidInput(f"{name}: must be later than {what}")
    within = chosen.get("start_within")
    if within is not None and now + within <= begins:
        raise InvalidInput("start_by: must be later than the start")
