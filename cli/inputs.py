"""Values that people type: a run's input, its fields, and metadata."""

from __future__ import annotations

import json
import shlex
import sys
from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from stepwell.engine.errors import InvalidInput, InvalidPayload
from stepwell.engine.payloads.payload import encode, parse
from stepwell.engine.payloads.types import payload_type

# A word up to this length is shown with quotes in the hint that quotes are missing.
QUOTABLE = 60


class RunInput:
    """The input from `--input`, with fields set by `--set`; None without either.

    Raises InvalidInput for input that cannot be read or parsed, and for contradicting paths.
    """

    def __init__(self, text: str | None, assignments: Sequence[str]) -> None:
        self.value = None if text is None else parse(_source(text, "--input"), "--input")
        # The fields whose value may have been meant as text, with that text.
        self._unsure: dict[tuple[str, ...], str] = {}
        if not assignments:
            return
        if text is None:
            self.value = {}
        if not isinstance(self.value, dict):
            got = _kind(self.value)
            raise InvalidInput(f"--set: the input must be an object for that, got {got}")
        paths: dict[tuple[str, ...], str] = {}
        for assignment in assignments:
            path, item = _assignment(assignment, "--set", "a.b=value")
            keys = tuple(path.split("."))
            if "" in keys:
                raise InvalidInput(f"--set {path!r}: a part of the path is empty")
            for other, text_of_other in paths.items():
                if keys[: len(other)] == other or other[: len(keys)] == keys:
                    raise InvalidInput(f"--set {path!r}: contradicts --set {text_of_other!r}")
            paths[keys] = path
            _put(self.value, keys, item, path)
            typed = assignment.partition("=")[2]
            if item != typed:
                self._unsure[keys] = typed

    def as_type(self, declared: Any) -> Any:
        """The value; a field whose JSON does not fit the declared type is taken as the typed text,
        if that fits. `declared` None means any type.
        """
        if declared is None:
            return self.value
        for keys, typed in self._unsure.items():
            misfit = _misfit(self.value, declared)
            if not misfit:
                break
            with_text = _copied(self.value, keys)
            _put(with_text, keys, typed, ".".join(keys))
            if _misfit(with_text, declared) < misfit:
                self.value = with_text
        return self.value


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


def _copied(value: Any, keys: tuple[str, ...]) -> Any:
    """A copy of the objects on the path to a field."""
    if not keys or not isinstance(value, dict):
        return value
    return {**value, keys[0]: _copied(value.get(keys[0]), keys[1:])}


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
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise InvalidInput(f"{flag} {text!r}: must be {form}")
    try:
        return key, parse(value, key)
    except InvalidPayload:
        return key, value


def _put(target: dict[str, Any], keys: tuple[str, ...], item: Any, path: str) -> None:
    for index, key in enumerate(keys[:-1]):
        below = target.setdefault(key, {})
        if not isinstance(below, dict):
            here = ".".join(keys[: index + 1])
            raise InvalidInput(f"--set {path!r}: {here!r} is {_kind(below)}, not an object")
        target = below
    target[keys[-1]] = item


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")
