"""The arguments of waits and how waits are stored: topics, times, and a checkpoint's wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stepwell.engine.checkpoints.checkpoint import CheckpointWait
from stepwell.engine.clock import duration_micros, to_datetime, to_micros
from stepwell.engine.duration_checks import MAX_WAIT, check_duration
from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.exchange import ClaimedStep, Several, Wait
from stepwell.engine.ids import MAX_ID_BYTES, check_id
from stepwell.engine.payloads.payload import decode

# The engine reserves topics and keys of messages with this prefix.
RESERVED = "stepwell."
# The prefix of topics and keys of decisions.
APPROVAL = f"{RESERVED}approval:"
# Fields of a `Several` besides its waits.
_OF_SEVERAL = ("sleep", "limit", "place", "slept")
# The longest key of a message, in bytes.
MAX_MESSAGE_KEY = MAX_ID_BYTES


def check_topic(topic: object, field: str = "topic") -> str:
    """The topic, if it is a valid one. Raises InvalidInput."""
    return _not_reserved(check_id(topic, field), field, "topic")


def check_message_key(key: object, field: str = "key") -> str:
    """The key, if a message may have it. Raises InvalidInput."""
    return _not_reserved(check_id(key, field, MAX_MESSAGE_KEY), field, "key")


def _not_reserved(text: str, field: str, what: str) -> str:
    if text.startswith(RESERVED):
        raise InvalidInput(
            f"{field}: {text!r} begins with {RESERVED!r}, which is the engine's own; "
            f"choose another {what}"
        )
    return text


def approval_topic(step_id: str, operation: str) -> str:
    """The topic of the decision for an operation of a step."""
    return f"{APPROVAL}{step_id}:{operation}"


# The latest time that a wait may have (epoch µs); it leaves room for pauses to move it.
FOREVER = to_micros(datetime(9000, 1, 1, tzinfo=UTC))


def check_wait(value: Any, field: str) -> int:
    """A time to wait, in microseconds: a duration from 0 on. Raises InvalidInput."""
    return duration_micros(check_duration(value, field, MAX_WAIT, least=timedelta(0)))


def check_moment(value: Any, field: str) -> int:
    """An aware datetime as epoch microseconds. Raises InvalidInput."""
    if not isinstance(value, datetime):
        raise InvalidInput(f"{field}: must be an aware datetime, got {shown(value)}")
    if value.utcoffset() is None:
        raise InvalidInput(
            f"{field}: a time needs a zone, got the naive {value.isoformat()}; "
            "use datetime.now(UTC) and the like"
        )
    try:
        micros = to_micros(value)
    except OverflowError:
        micros = FOREVER + 1
    if micros > FOREVER:
        raise InvalidInput(
            f"{field}: must be before {to_datetime(FOREVER).date()}, got {value.isoformat()}"
        )
    return micros


def told_of(wait: Wait) -> dict[str, Any]:
    """A wait as plain values, without the run that it starts; see `wait_from`."""
    told: dict[str, Any] = {
        "kind": wait.kind,
        "operation": wait.operation,
        "run_id": wait.run_id,
        "topic": wait.topic,
        "value": wait.value,
        "until": wait.until,
    }
    several = wait.several
    if several is not None:
        told["waits"] = [told_of(one) for one in several.waits]
        told |= {name: getattr(several, name) for name in _OF_SEVERAL}
    return told


def wait_from(told: Mapping[str, Any]) -> Wait:
    """The wait from the values of `told_of`."""
    several = None
    if told.get("waits"):
        waits = tuple(wait_from(one) for one in told["waits"])
        several = Several(waits, **{name: told[name] for name in _OF_SEVERAL})
    value = told.get("value")
    return Wait(
        run_id=told.get("run_id"),
        until=told.get("until"),
        topic=told.get("topic"),
        value=None if value is None else (value[0], value[1]),
        kind=told.get("kind", "run"),
        operation=told.get("operation"),
        several=several,
    )


def stored_wait(wait: Wait, paused_at: datetime | None) -> CheckpointWait:
    """A wait as a checkpoint keeps it; with `paused_at`, with the time that it has left."""
    wake_at = None if wait.until is None else to_datetime(wait.until)
    topic = wait.topic or (None if wait.value is None else "/".join(wait.value))
    stored = CheckpointWait(
        kind=wait.kind, operation=wait.operation or wait.kind, topic=topic, wake_at=wake_at
    )
    if wait.several is not None:
        stored = CheckpointWait(**{**dict(stored), "several": told_of(wait)})
    if paused_at is not None and wake_at is not None:
        stored.remaining = max(timedelta(0), wake_at - paused_at).total_seconds()
        stored.wake_at = None
    return stored


def began_waits(
    claimed: ClaimedStep, kept: CheckpointWait | None, now: Callable[[], int], operation: str
) -> list[tuple[int | None, Wait]]:
    """The wait that an operation began in earlier executions, from each place that stores it.

    Each comes with its present `until`, which pauses may have moved.
    """
    began: list[tuple[int | None, Wait]] = []
    waited = decode(claimed.wait) if claimed.wait else {}
    if waited.get("operation") == operation:
        wait = wait_from(waited)
        began.append((wait.until if claimed.wake_at is None else claimed.wake_at, wait))
    if kept is not None and kept.operation == operation:
        at = None if kept.wake_at is None else to_micros(kept.wake_at)
        if at is None and kept.remaining is not None:
            at = now() + int(kept.remaining * 1e6)
        began.append((at, wait_from((kept.model_extra or {}).get("several", {}))))
    return began


def moved_times(began: Sequence[tuple[int | None, Wait]]) -> Several | None:
    """The times of several waits, from `began_waits`; None if they have not begun.

    Two places store the same wait; the later times count.
    """
    found = []
    for at, wait in began:
        if wait.several is not None:
            moved = 0 if at is None or wait.until is None else at - wait.until
            sleep, limit = (
                None if time is None else time + moved
                for time in (wait.several.sleep, wait.several.limit)
            )
            found.append(replace(wait.several, sleep=sleep, limit=limit))
    if not found:
        return None
    return replace(
        found[0],
        sleep=max((one.sleep for one in found if one.sleep is not None), default=None),
        limit=max((one.limit for one in found if one.limit is not None), default=None),
        slept=any(one.slept for one in found),
    )
