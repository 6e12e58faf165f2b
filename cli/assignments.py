"""One field of an input as people type it: `--set a.b=value`, several times for a list."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stepwell.cli.shapes import Shape
from stepwell.engine.errors import InvalidInput, InvalidPayload, nearest, shown
from stepwell.engine.payloads.payload import parse

_TRUTH = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_WHOLE = re.compile(r"[+-]?[0-9]{1,100}\Z")


@dataclass(slots=True)
class Assignment:
    """What was typed for one field, and what it may mean.

    There are several candidates for each text, in the order of preference; `chosen` has one of
    each. `unknown` says that there is no such field, and is empty for one that there is.
    """

    keys: tuple[str, ...]
    candidates: list[list[Any]]
    as_list: bool
    shape: Shape
    unknown: str
    chosen: list[Any]

    @classmethod
    def of(
        cls, keys: tuple[str, ...], texts: Sequence[str], shape: Shape, by_name: Shape
    ) -> Assignment:
        """For the schema of an input, by alias and by name. Raises InvalidInput."""
        found, unknown = _find(keys, shape)
        if unknown:
            other, nowhere = _find(keys, by_name)
            found, unknown = (found, unknown) if nowhere else (other, "")
        path = "input." + ".".join(keys)
        if len(texts) > 1 and not found.may_be_list:
            if unknown:
                raise InvalidInput(unknown)
            types = " or ".join(sorted(found.types))
            raise InvalidInput(
                f"{path}: is set {len(texts)} times, but "
                + (f"is of type {types}; set it once" if types else "is not known to take a list; ")
                + ("" if types else f"set it once, to a list in JSON: {keys[-1]}='[…]'")
            )
        first = json_or_text(texts[0])
        taken = first is None and found.nullable
        as_list = len(texts) > 1 or (found.is_list and not isinstance(first, list) and not taken)
        item = found.items if as_list else found
        candidates = [_candidates(text, item) for text in texts]
        if not as_list and found.may_be_list:
            candidates[0] += [[each] for each in _candidates(texts[0], found.items)]
        chosen = [each[0] for each in candidates]
        return cls(keys, candidates, as_list, item, unknown, chosen)

    @property
    def value(self) -> Any:
        """What is put into the input."""
        return list(self.chosen) if self.as_list else self.chosen[0]

    def others(self) -> Iterator[tuple[Assignment, int, Any]]:
        """The candidates that were not chosen yet, with the places of their texts."""
        for index, several in enumerate(self.candidates):
            yield from ((self, index, candidate) for candidate in several[1:])

    def check_choices(self) -> None:
        """Raises InvalidInput for what is not among the only values of the field."""
        choices = self.shape.choices
        for each in self.chosen:
            if choices is not None and each not in choices:
                raise InvalidInput(
                    f"input.{'.'.join(self.keys)}: must be one of "
                    f"{', '.join(map(shown, choices))}, got {shown(each)}{_nearest(each, choices)}"
                )


def json_or_text(text: str) -> Any:
    """What a text says as JSON, or else the text."""
    try:
        return parse(text, "")
    except InvalidPayload:
        return text


def _candidates(text: str, shape: Shape) -> list[Any]:
    """What a text may mean: what the type makes of it, its JSON, and the text itself."""
    found: list[Any] = []
    if shape.types == {"boolean"} and text.lower() in _TRUTH:
        found.append(_TRUTH[text.lower()])
    elif shape.types == {"integer"} and _WHOLE.match(text):
        found.append(int(text))
    elif shape.types == {"number"} and not isinstance(json_or_text(text), (int, float)):
        with suppress(ValueError):
            found += [number] if math.isfinite(number := float(text)) else []
    found.append(json_or_text(text))
    if found[-1] != text:
        found.append(text)
    return found


def _find(keys: tuple[str, ...], shape: Shape) -> tuple[Shape, str]:
    """What may be at a path, and if there is no such field, a message that says so."""
    for index, key in enumerate(keys):
        fields = shape.fields
        below = fields.get(key) or shape.others
        if below is None:
            said = f"input.{'.'.join(keys[: index + 1])}: there is no such field"
            if fields:
                said += nearest(key, fields)
            else:
                place = ".".join(("input", *keys[:index]))
                said += f"; {place} is of type {' or '.join(sorted(shape.types))}"
            return Shape.of({}), said
        shape = below
    return shape, ""


def _nearest(value: Any, choices: Sequence[Any]) -> str:
    """A hint at the nearest choice; all of them are named before."""
    hint = nearest(str(value), [each for each in choices if isinstance(each, str)])
    return hint if "did you mean" in hint else ""
