"""Places in a JSON Schema, as far as what people type depends on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

_ANY: Schema = {}
# References that refer to each other end after that many.
_MOST_REFERENCES = 20
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_CLASSES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


class Shape:
    """What a value at one place may be: its alternatives, without references and null."""

    def __init__(self, schemas: Sequence[Schema], root: Schema) -> None:
        self._root = root
        # As it stands in the schema: with its description and its default.
        self.first: Schema = schemas[0] if isinstance(schemas[0], Mapping) else _ANY
        alternatives = [part for schema in schemas for part in self._resolved(schema, 0)]
        self.nullable = any(part.get("type") == "null" for part in alternatives)
        self.alternatives = [part for part in alternatives if part.get("type") != "null"]

    @classmethod
    def of(cls, schema: Schema) -> Shape:
        """That of a whole schema."""
        return cls([schema], schema)

    def _resolved(self, schema: Any, depth: int) -> Iterator[Schema]:
        if not isinstance(schema, Mapping) or depth > _MOST_REFERENCES:
            yield _ANY
            return
        beside = {key: value for key, value in schema.items() if key not in _COMBINING}
        parts = [part for part in schema.get("allOf", ()) if isinstance(part, Mapping)]
        choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        if "$ref" in schema:
            found = self._referred(str(schema["$ref"]))
            yield from self._resolved({**found, **beside}, depth + 1)
        elif len(parts) == 1:
            yield from self._resolved({**parts[0], **beside}, depth + 1)
        elif choices:
            for choice in choices:
                whole = {**beside, **choice} if isinstance(choice, Mapping) else choice
                yield from self._resolved(whole, depth + 1)
        elif isinstance(types := schema.get("type"), list):
            yield from ({**schema, "type": name} for name in types)
        else:
            yield schema

    def _referred(self, reference: str) -> Schema:
        found: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            found = found.get(part, _ANY) if isinstance(found, Mapping) else _ANY
        return found if reference.startswith("#") and isinstance(found, Mapping) else _ANY

    @property
    def types(self) -> set[str]:
        """The types of the alternatives; empty if anything may be there."""
        names = {_type(part) for part in self.alternatives}
        return set() if "" in names else names

    @property
    def choices(self) -> list[Any] | None:
        """The only values that may be there, or None."""
        found: list[Any] = [None] if self.nullable else []
        for part in self.alternatives:
            if "const" in part:
                found.append(part["const"])
            elif isinstance(part.get("enum"), list):
                found += part["enum"]
            else:
                return None
        return found if self.alternatives else None

    @property
    def is_list(self) -> bool:
        """Whether only a list may be there."""
        return self.types == {"array"}

    @property
    def may_be_list(self) -> bool:
        """Whether a list is among what may be there, and is known to be."""
        return "array" in self.types

    @property
    def items(self) -> Shape:
        """What may be in a list that may be there."""
        parts = [part.get("items", _ANY) for part in self.alternatives if _type(part) == "array"]
        return Shape(parts or [_ANY], self._root)

    @property
    def fields(self) -> dict[str, Shape]:
        """The named fields of objects that may be there, in their order."""
        found: dict[str, list[Schema]] = {}
        for part in self.alternatives:
            for name, schema in part.get("properties", {}).items():
                found.setdefault(name, []).append(schema)
        return {name: Shape(schemas, self._root) for name, schemas in found.items()}

    @property
    def places(self) -> set[int]:
        """Where the schema lists the named fields, to know it again inside of itself."""
        return {id(part["properties"]) for part in self.alternatives if "properties" in part}

    @property
    def others(self) -> Shape | None:
        """What a field without a name of its own may be; None if there is no such field."""
        found = []
        for part in self.alternatives:
            if not _type(part):
                found.append(_ANY)
            elif _type(part) == "object":
                given = part.get("additionalProperties", "properties" not in part)
                if part.get("patternProperties"):
                    given = True
                if given is not False:
                    found.append(_ANY if given is True else given)
        return Shape(found, self._root) if found else None

    def required(self, name: str) -> bool:
        """Whether a field is needed in each object that may be there."""
        objects = [part for part in self.alternatives if "properties" in part]
        return bool(objects) and all(name in part.get("required", ()) for part in objects)

    def misfit(self, value: Any) -> int:
        """How badly a value misfits; zero fits, and a fault deeper inside counts more."""
        if value is None and self.nullable:
            return 0
        if not self.alternatives:
            return 1
        return min(self._misfit(part, value) for part in self.alternatives)

    def _misfit(self, part: Schema, value: Any) -> int:
        name = _type(part)
        if name and not _is(value, name):
            return 1
        if value not in part.get("enum", [part["const"]] if "const" in part else [value]):
            return 1
        if isinstance(value, list) and name == "array":
            return sum(1 + wrong for item in value if (wrong := self.items.misfit(item)))
        if isinstance(value, dict) and name == "object":
            found = (self._misfit_of_field(part, *item) for item in value.items())
            return sum(1 + wrong for wrong in found if wrong)
        return 0

    def _misfit_of_field(self, part: Schema, name: str, value: Any) -> int:
        below = self.fields.get(name) or self.others
        if below is None:
            return int(part.get("additionalProperties") is False)
        return below.misfit(value)


def _is(value: Any, name: str) -> bool:
    """Whether a value is of a type of JSON; a truth value is no number."""
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _CLASSES.get(name, object))


def _type(part: Schema) -> str:
    """The one type of an alternative; empty if it may be anything."""
    name = part.get("type")
    if isinstance(name, str):
        return name
    if "properties" in part or "additionalProperties" in part:
        return "object"
    if "items" in part:
        return "array"
    values = part.get("enum", [part["const"]] if "const" in part else [])
    names = {next(name for name in _CLASSES if _is(value, name)) for value in values}
    return names.pop() if len(names) == 1 else ("string" if part.get("format") else "")
