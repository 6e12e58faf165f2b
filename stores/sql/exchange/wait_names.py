"""Waits as stored: the names of what steps wait for, and what waking and holding do to a step.

A waiting step has `wait_for` (the name, unless it waits for a time only) and `wake_at` (when its
time is up, if there is a limit). `wake_at` stays when the step is woken: the execution decides by
it whether its time was up. While the step is held, `wait_left` has the time that was left. A step
that waits for several names has one of `SIDE_BY_SIDE` as `wait_for`, and rows in `waits` until it
is woken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from stepwell.engine.clock import to_text
from stepwell.engine.exchange import ClaimedStep, Wait
from stepwell.engine.states import Act
from stepwell.stores.sql.connection.statements import becomes, bind, may
from stepwell.stores.sql.schema import tables

steps = tables.steps

# Instead of several names: the step is woken by the first of them, or by the last.
ANY, ALL = "any", "all"
SIDE_BY_SIDE = frozenset({ANY, ALL})


def run_end(run_id: str) -> str:
    """The name of a wait for the end of a run."""
    return f"run:{run_id}"


def message_on(run_key: int, topic: str) -> str:
    """The name of a wait for a message to a run on a topic."""
    return f"topic:{run_key}:{topic}"


def value_of(run_id: str, key: str) -> str:
    """The name of a wait for the first value of a key; ids have no control characters."""
    return f"value:{run_id}\n{key}"


def named(run_key: int, wait: Wait) -> str | None:
    """The name of what a wait of a step is for; None for a time only."""
    if wait.topic is not None:
        return message_on(run_key, wait.topic)
    if wait.value is not None:
        return value_of(*wait.value)
    return None if wait.run_id is None else run_end(wait.run_id)


def names(run_key: int, waits: Iterable[Wait]) -> list[str]:
    """The names of several waits, each once."""
    found = dict.fromkeys(named(run_key, wait) for wait in waits)
    return [name for name in found if name is not None]


def registered(step: ClaimedStep, wait: Wait) -> str | None:
    """What the step's `wait_for` is set to.

    One name among sleeps is the same as a wait with a time limit, except for the end of a run: that
    run may be locked without the run that waits.
    """
    if wait.several is None:
        return named(step.run.key, wait)
    found = names(step.run.key, wait.several.waits)
    if not found:
        return None
    is_plain = wait.kind == ANY or wait.several.sleep is None
    if len(found) > 1 or not is_plain or found[0].startswith(run_end("")):
        return wait.kind
    return found[0]


def event_data(wait: Wait) -> dict[str, Any]:
    """The data of the event that says that a wait began."""
    data: dict[str, Any] = {
        "kind": wait.kind,
        "operation": wait.operation,
        "run_id": wait.run_id,
        "topic": wait.topic,
        "value": wait.value,
        "until": None if wait.until is None else to_text(wait.until),
    }
    if wait.several is not None:
        data["waits"] = [event_data(one) for one in wait.several.waits]
    return {name: value for name, value in data.items() if value is not None}


def wakes() -> dict[str, Any]:
    """What waking sets; needs the parameter `now`."""
    return {"status": becomes(Act.WAKE), "ready_at": bind("now"), "wait_for": None}


def freezes() -> dict[str, Any]:
    """What holding a ready or waiting step sets; needs the parameter `now`."""
    return {
        "status": sa.case((may(Act.HOLD, steps.c.status), becomes(Act.HOLD)), else_=steps.c.status),
        "wait_left": sa.func.coalesce(steps.c.wait_left, steps.c.wake_at - bind("now")),
        "wake_at": None,
    }


def unholds() -> dict[str, Any]:
    """What releasing a held or waiting step sets; needs the parameter `now`."""
    return {
        "status": sa.case(
            (may(Act.UNHOLD, steps.c.status), becomes(Act.UNHOLD)), else_=steps.c.status
        ),
        "wake_at": sa.func.coalesce(bind("now") + steps.c.wait_left, steps.c.wake_at),
        "wait_left": None,
    }
