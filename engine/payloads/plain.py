"""Finds plain types: their values come back unchanged, so that they need not be read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_LEAF_TYPES: Final[Mapping[str, type]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": float,
    "none": type(None),
}
# Containers of builtin values, for which `==` is sufficient.
_SIMPLE = frozenset(
    {*_LEAF_TYPES, "any", "nullable", "list", "tuple", "set", "frozenset", "dict", "default"}
)
# Keys that a plain schema node may have; with others (bounds, patterns, modes) it is not plain.
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "nullable": frozenset({"schema"}),
    "list": frozenset({"items_schema"}),
    "dict": frozenset({"keys_schema", "values_schema"}),
    "default": frozenset(
        {"schema", "default", "default_factory", "default_factory_takes_data", "copy_default"}
    ),
}
_ALWAYS = frozenset({"type", "metadata", "ref"})
_MODEL_KEYS = frozenset({"cls", "schema", "config", "custom_init", "root_model"})
_FIELDS_KEYS = frozenset({"fields", "model_name", "computed_fields"})
_CONFIG_KEYS = frozenset({"title", "extra", "extra_fields_behavior", "frozen"})
_MOST_SHAPES = 100

# The classes that a field may hold, and those of the items if it holds a list or dict.
_Field = tuple[frozenset[type], frozenset[type] | None]


class PlainModel:
    """A model whose fields hold text, numbers and the like, or lists and dicts of these.

    An instance comes back equal if each field holds a value of its declared class, which must be
    checked: fields can be set without validation.
    """

    def __init__(self, fields: Mapping[str, _Field]) -> None:
        self._names = tuple(fields)
        self._kinds = tuple(kinds for kinds, _ in fields.values())
        self._inner = tuple((name, items) for name, (_, items) in fields.items() if items)
        self.has_floats = any(
            float in kinds or (items is not None and float in items)
            for kinds, items in fields.values()
        )
        # The classes of the fields' values, for whole instances that fit.
        self._shapes: set[tuple[type, ...]] = set()

    def fits(self, value: BaseModel) -> bool:
        """Whether each field of an instance of exactly this model has an allowed class."""
        held = value.__dict__
        shape = tuple(map(type, held.values()))
        if shape not in self._shapes and not self._is_new_shape(shape):
            return False
        if tuple(held) != self._names:
            return False
        for name, items in self._inner:
            inside = held[name]
            if not inside:
                continue
            if type(inside) is dict:
                if not _TEXT.issuperset(map(type, inside)):
                    return False
                inside = inside.values()
            if not items.issuperset(map(type, inside)):
                return False
        return True

    def _is_new_shape(self, shape: tuple[type, ...]) -> bool:
        if len(shape) != len(self._kinds):
            return False
        fits = all(kind in kinds for kind, kinds in zip(shape, self._kinds, strict=True))
        if fits and len(self._shapes) < _MOST_SHAPES:
            self._shapes.add(shape)
        return fits


_TEXT = frozenset({str})


def plain_model(type_: Any, schema: Any) -> PlainModel | None:
    """What checks instances of this class, or None if they have to be read back."""
    if not isinstance(type_, type) or not issubclass(type_, BaseModel):
        return None
    if (
        schema["type"] != "model"
        or schema["cls"] is not type_
        or not _has_only(schema, _MODEL_KEYS)
    ):
        return None
    if schema.get("custom_init") or schema.get("root_model") or type_.__private_attributes__:
        return None
    config, inner = schema.get("config", {}), schema["schema"]
    if not _CONFIG_KEYS.issuperset(config) or "allow" in config.values():
        return None
    if inner["type"] != "model-fields" or not _has_only(inner, _FIELDS_KEYS):
        return None
    if inner.get("computed_fields"):
        return None
    fields: dict[str, _Field] = {}
    for name, field in inner["fields"].items():
        found = _field(field["schema"]) if _has_only(field, frozenset({"schema"})) else None
        if found is None:
            return None
        fields[name] = found
    return PlainModel(fields)


def is_simple(schema: Any) -> bool:
    """Whether the type consists of builtin values only."""
    if schema.get("type") not in _SIMPLE or "serialization" in schema:
        return False
    inner = [schema[key] for key in _INNER if isinstance(schema.get(key), dict)]
    items = schema.get("items_schema")
    inner += items if isinstance(items, list) else []
    return all(map(is_simple, inner))


_INNER = ("schema", "items_schema", "keys_schema", "values_schema")


def _field(schema: Any) -> _Field | None:
    kind = schema["type"]
    if kind in _LEAF_TYPES and _has_only(schema, frozenset()):
        return frozenset({_LEAF_TYPES[kind]}), None
    if kind not in _KEYS or not _has_only(schema, _KEYS[kind]):
        return None
    if kind in ("nullable", "default"):
        found = _field(schema["schema"])
        if found is None or kind == "default":
            return found
        return found[0] | {type(None)}, found[1]
    if kind == "dict" and schema.get("keys_schema") != {"type": "str"}:
        return None
    items = _field(schema.get("items_schema") or schema.get("values_schema") or {"type": "any"})
    if items is None or items[1] is not None or (list in items[0] or dict in items[0]):
        return None
    return frozenset({list if kind == "list" else dict}), items[0]


def _has_only(schema: Any, keys: frozenset[str]) -> bool:
    return all(key in keys or key in _ALWAYS for key in schema)
