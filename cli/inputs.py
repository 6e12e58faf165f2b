"""Values that people type: a run's input, its fields, and metadata."""

from __future__ import annotations

import json
import shlex
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from stepwell.cli.assignments import Assignment, json_or_text
from stepwell.cli.shapes import Shape
from stepwell.engine.errors import InvalidInput, InvalidPayload
from stepwell.engine.input_schemas import schema_of_type
from stepwell.engine.payloads.payload import encode, parse
from stepwell.engine.payloads.types import payload_type

# A word up to this length is shown with quotes in the hint that quotes are missing.
QUOTABLE = 60


class RunInput:
    """The input from `--input`, with fields set by `--set`; None without either.

    Raises InvalidInput for input that cannot be read or parsed, and for contradicting paths.
    """

    def __init__(self, text: str | None, assignments: Sequence[str]) -> None:
        self.given = None if text is None else parse(_source(text, "--input"), "--input")
        self._assigned: dict[tuple[str, ...], list[str]] = {}
        if not assignments:
            return
        if text is None:
            self.given = {}
        if not isinstance(self.given, dict):
            got = _kind(self.given)
            raise InvalidInput(f"--set: the input must be an object for that, got {got}")
        for assignment in assignments:
            path, _, typed = _split(assignment, "--set", "a.b=value")
            keys = tuple(path.split("."))
            if "" in keys:
                raise InvalidInput(f"--set {path!r}: a part of the path is empty")
            for other in self._assigned:
                shorter = min(len(keys), len(other))
                if keys != other and keys[:shorter] == other[:shorter]:
                    raise InvalidInput(f"--set {path!r}: contradicts --set {'.'.join(other)!r}")
            self._assigned.setdefault(keys, []).append(typed)
        for keys in self._assigned:
            _put(copied(self.given, keys), keys, None)

    def as_type(self, declared: Any, schema: Mapping[str, Any] | None = None) -> Any:
        """The value, with what was typed taken as the fields' types ask for.

        `declared` None means any type; `schema` is the author's, None means that of the type.
        Raises InvalidInput naming a field that is not there, or takes one of several values, or
        no list.
        """
        if not self._assigned:
            return self.given
        of_type = schema_of_type(declared)
        by_hand = schema is not None and schema != of_type
        shape = Shape.of(of_type if schema is None else schema)
        by_name = shape if by_hand else Shape.of(schema_of_type(declared, by_alias=False))
        fields = [
            Assignment.of(keys, texts, shape, by_name) for keys, texts in self._assigned.items()
        ]

        def misfit(value: Any) -> int:
            found = 0 if declared is None else _misfit(value, declared)
            return found + (shape.misfit(value) if by_hand else 0)

        value = self._chosen(fields, misfit)
        wrong = misfit(value) > 0
        for field in fields:
            if wrong:
                field.check_choices()
            if field.unknown and self._is_ignored(field, fields, declared, misfit):
                raise InvalidInput(field.unknown)
        return value

    def _chosen(self, fields: Sequence[Assignment], misfit: Callable[[Any], int]) -> Any:
        """The value that fits best; each text is tried as JSON first."""
        least = misfit(value := self._with(fields))
        others = [other for each in fields for other in each.others()]
        for field, index, candidate in others:
            if not least:
                break
            before = field.chosen[index]
            field.chosen[index] = candidate
            tried = self._with(fields)
            if (now := misfit(tried)) < least:
                least, value = now, tried
            else:
                field.chosen[index] = before
        return value

    def _with(self, fields: Sequence[Assignment]) -> Any:
        value = self.given
        for field in fields:
            value = copied(value, field.keys)
            _put(value, field.keys, field.value)
        return value

    def _is_ignored(
        self,
        field: Assignment,
        fields: Sequence[Assignment],
        declared: Any,
        misfit: Callable[[Any], int],
    ) -> bool:
        """Whether a field makes no difference, or none but to be refused."""
        value = self._with(fields)
        without = self._with([each for each in fields if each is not field])
        if found := misfit(value):
            return misfit(without) <= found
        if declared is None:
            return False
        try:
            adapter = payload_type(declared).adapter
            read = [
                adapter.validate_json(encode(each, "input"), by_alias=True, by_name=True)
                for each in (value, without)
            ]
            return bool(read[0] == read[1])
        except Exception:  # an author's type may raise anything; starting the run reports it
            return False


def _misfit(value: Any, declared: Any) -> int:
    """How badly a value misfits its type: zero fits, and a fault deeper inside counts more."""
    try:
        adapter = payload_type(declared).adapter
        adapter.validate_json(encode(value, "input"), by_alias=True, by_name=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return sum(1 + len(problem["loc"]) for problem in problems)
    except Exception:  # an author's validator, or `encode`; starting the run reports it
        return 0
    return 0


def pairs(assignments: Sequence[str], flag: str) -> dict[str, Any] | None:
    """Keys and values from `k=v`; values are JSON if they parse. None without any."""
    result: dict[str, Any] = {}
    for assignment in assignments:
        key, value = _assignment(assignment, flag, "key=value")
        if key in result:
            raise InvalidInput(f"{flag} {key!r}: is given twice")
        result[key] = value
    return result or None


def json_argument(text: str | None, name: str) -> Any:
    """The value of an argument given as JSON, @FILE or -; None without it. Raises InvalidInput."""
    if text is None:
        return None
    try:
        return parse(_source(text, name), name)
    except InvalidPayload as error:
        if text[:1].isalpha() and len(text) <= QUOTABLE:
            raise InvalidPayload(
                f"{error}; a text has quotes: {shlex.quote(json.dumps(text))}"
            ) from None
        raise


def _source(text: str, name: str) -> str | bytes:
    if text == "-":
        if sys.stdin is None:
            raise InvalidInput(f"{name}: cannot read '-': stdin is closed")
        return sys.stdin.buffer.read().removeprefix(BOM_UTF8)
    if not text.startswith("@"):
        return text
    try:
        with open(text[1:], "rb") as file:
            return file.read().removeprefix(BOM_UTF8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"{name}: cannot read {text[1:]!r}: {reason}") from None


def _assignment(text: str, flag: str, form: str) -> tuple[str, Any]:
    key, _, value = _split(text, flag, form)
    return key, json_or_text(value)


def _split(text: str, flag: str, form: str) -> tuple[str, str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise InvalidInput(f"{flag} {text!r}: must be {form}")
    return key, separator, value


def copied(value: Any, keys: tuple[str, ...]) -> Any:
    """A copy of the objects on the path to a field."""
    if not keys or not isinstance(value, dict):
        return value
    below = {keys[0]: copied(value[keys[0]], keys[1:])} if keys[0] in value else {}
    return {**value, **below}


def _put(target: dict[str, Any], keys: tuple[str, ...], item: Any) -> None:
    for index, key in enumerate(keys[:-1]):
        below = target.setdefault(key, {})
        if not isinstance(below, dict):
            path, here = ".".join(keys), ".".join(keys[: index + 1])
            raise InvalidInput(f"--set {path!r}: {here!r} is {_kind(below)}, not an object")
        target = below
    target[keys[-1]] = item


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")
