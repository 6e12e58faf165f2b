"""The operations that a body requests, each with its name and its number or key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepwell.engine.checkpoints.checkpoint import OperationKind
from stepwell.engine.durable.replay import Request, check_name, result_type
from stepwell.engine.errors import InvalidInput
from stepwell.engine.ids import check_id

if TYPE_CHECKING:
    from stepwell.engine.payloads.types import PayloadType


class Requests:
    """Numbers the operations of one execution, from any thread.

    An operation is identified by its name and the number of earlier uses of that name, or by name
    and key. `check_open` is called with each one, and raises if it is not allowed.
    """

    def __init__(self, check_open: Callable[[str], None]) -> None:
        self.count = 0
        self._check_open = check_open
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._keyed: set[tuple[str, str]] = set()
        self._functions: dict[str, tuple[object, str]] = {}
        self._types: dict[str, PayloadType | None] = {}

    def next(
        self,
        kind: OperationKind,
        name: str,
        function: tuple[object, str],
        arguments_digest: str,
        options: tuple[str, str | None, bool],
    ) -> Request:
        """The next operation of this name. Raises InvalidInput.

        `function` is what `replay.identity` gives. `options` are the method that was called, the
        key, and whether the operation is recorded; one that is not has no number of its own.
        """
        operation, key, is_recorded = options
        self._check_open(operation)
        call = f"step.{operation}"
        check_name(name, call)
        if key is not None:
            check_id(key, f"{call}({name!r}): key")
        with self._lock:
            self._claim(name, function, call)
            number = self._number(name, key, call) if is_recorded else 1
        return Request(name, number, key, kind, arguments_digest, call)

    def result_type(self, name: str, function: Callable[..., Any], call: str) -> PayloadType | None:
        """The type that reads the values of operations of this name."""
        if name not in self._types:
            self._types[name] = result_type(function, f"{call}({name!r})")
        return self._types[name]

    def _claim(self, name: str, function: tuple[object, str], call: str) -> None:
        """Raises InvalidInput if the name is used for another function."""
        known = self._functions.setdefault(name, function)
        if known[0] != function[0]:
            raise InvalidInput(
                f"{call}: the name {name!r} is used for {known[1]} already, and now for "
                f"{function[1]}; give one of them another name"
            )

    def _number(self, name: str, key: str | None, call: str) -> int:
        """The number of this operation among those of its name; 1 for one with a key."""
        self.count += 1
        if key is None:
            self._numbers[name] = number = self._numbers.get(name, 0) + 1
            return number
        if (name, key) in self._keyed:
            raise InvalidInput(f"{call}({name!r}): key {key!r} was given twice in this execution")
        self._keyed.add((name, key))
        return 1
