"""Waits as rows: what a step waits for by name, how it is woken, and what a hold does to it.

A waiting step has `wait_for` (the name, if it waits for more than a time) and `wake_at` (when its
time is up, if it is ever). `wake_at` stays when the step is woken: it is the truth about a
deadline. While the step is held back, `wait_left` stands for it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Act
from stepwell.stores.sql import schema
from stepwell.stores.sql.statements import becomes, bind, may

steps = schema.steps


def run_end(run_id: str) -> str:
    """The name of a wait for the end of a run."""
    return f"run:{run_id}"


def message_on(run_key: int, topic: str) -> str:
    """The name of a wait for a message to a run on a topic."""
    return f"topic:{run_key}:{topic}"


def value_of(run_id: str, key: str) -> str:
    """The name of a wait for the first value of a key; ids have no control characters."""
    return f"value:{run_id}\n{key}"


def wakes() -> dict[str, Any]:
    """What waking sets; needs the parameter `now`."""
    return {"status": becomes(Act.WAKE), "ready_at": bind("now"), "wait_for": None}


def freezes() -> dict[str, Any]:
    """What holding a ready or waiting step back sets; needs the parameter `now`."""
    return {
        "status": sa.case((may(Act.HOLD, steps.c.status), becomes(Act.HOLD)), else_=steps.c.status),
        "wait_left": sa.func.coalesce(steps.c.wait_left, steps.c.wake_at - bind("now")),
        "wake_at": None,
    }


def thaws() -> dict[str, Any]:
    """What letting a held or waiting step go on sets; needs the parameter `now`."""
    return {
        "status": sa.case(
            (may(Act.UNHOLD, steps.c.status), becomes(Act.UNHOLD)), else_=steps.c.status
        ),
        "wake_at": sa.func.coalesce(bind("now") + steps.c.wait_left, steps.c.wake_at),
        "wait_left": None,
    }
