"""A save refuses a checkpoint that could not be loaded again, and keeps the old one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from stepwell.engine.checkpoints.checkpoint import (
    Checkpoint,
    Checkpointer,
    JournalingCheckpointer,
    Operation,
)
from stepwell.engine.errors import InvalidInput, NoCheckpoint
from stepwell.testing.checkpointers.case import (
    ID,
    CheckpointerCase,
    checkpoint,
    full,
    operation,
    update,
)

Spoil = Callable[[Checkpoint], object]


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def _deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def _set(field: str, value: Any) -> Spoil:
    return lambda spoiled: setattr(spoiled, field, value)


BAD: dict[str, Spoil] = {
    "NaN": _set("inputs", float("nan")),
    "infinity": _set("variables", {"x": [float("-inf")]}),
    "a set": _set("inputs", {1, 2}),
    "bytes": _set("inputs", b"bytes"),
    "an object": _set("variables", {"x": object()}),
    "a number as key": _set("variables", {"x": {1: 2}}),
    "a lone surrogate": _set("variables", {"x": "\ud800"}),
    "a lone surrogate as key": _set("variables", {"\udfff": 1}),
    "a loop": _set("inputs", _loop()),
    "great depth": _set("inputs", _deep(300)),
    "an unknown status": _set("status", "asleep"),
    "a naive time": _set("start_time", datetime(2031, 5, 1)),  # noqa: DTZ001  # what is refused
    "no list of operations": _set("operations", [{"name": "a"}]),
    "a value that is not JSON": _set("operations", [operation(1, value={"x": float("nan")})]),
    "two operations of one id": _set("operations", [operation(1), operation(1)]),
    "an operation without a name": _set("operations", [Operation(name="")]),
    "text as flag": _set("pause_requested", "yes"),
    "no reason": _set("pause_reason", None),
    "a reason with NUL": _set("pause_reason", "a\0b"),
    "a field of a later version": _set("later", float("inf")),
}


class RefusalTests(CheckpointerCase):
    """Bad checkpoints."""

    @pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
    def test_what_cannot_be_stored_is_refused(self, store: Checkpointer, spoil: Spoil) -> None:
        store.save_checkpoint(full())
        spoiled = full()
        spoil(spoiled)

        with pytest.raises(InvalidInput, match="checkpoint"):
            store.save_checkpoint(spoiled)

        assert store.load_checkpoint(ID) == full()

    def test_the_first_one_refused_leaves_nothing(self, store: Checkpointer) -> None:
        with pytest.raises(InvalidInput, match=r"variables.*\bx\b"):
            store.save_checkpoint(checkpoint(variables={"x": {1, 2}}))

        with pytest.raises(NoCheckpoint):
            store.load_checkpoint(ID)

    def test_a_record_with_a_bad_operation_is_refused_whole(
        self, journal: JournalingCheckpointer
    ) -> None:
        journal.record(update(operation(1), variables={"n": 1}))

        with pytest.raises(InvalidInput, match="work#3"):
            journal.record(update(operation(2), operation(3, value={1, 2}), variables={"n": 2}))

        loaded = journal.load_checkpoint(ID)
        assert (loaded.operations, loaded.variables) == ([operation(1)], {"n": 1})
