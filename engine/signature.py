"""What a package author's function takes and gives back, read from its annotations once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from stepwell.engine.errors import InvalidPackage, InvalidPayload, shown
from stepwell.engine.payload import decode

_RAW = (Any, object, inspect.Parameter.empty)


class Signature:
    """How to call `function(context, input)`, and the type of its input.

    The function may take the context, then the input, or either of them, or nothing. The input's
    annotation is validated by pydantic; without one it arrives as plain JSON values. An input with
    a default value may be left out. Other parameters keep their defaults.

    Raises:
        InvalidPackage: for other parameters, or an annotation that cannot be resolved; when the
            signature is first used, because a module may define the types after the function.
    """

    def __init__(self, function: Callable[..., Any], context: type, context_names: set[str]):
        self._function = function
        self._context = context
        self._names = context_names

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self._function, include_extras=True)
        except NameError as error:
            raise InvalidPackage(
                f"{self._where}: cannot resolve an annotation: {error}; "
                "define the type at the top level of the module"
            ) from None

    @property
    def _where(self) -> str:
        return f"{self._function.__module__}.{self._function.__qualname__}"

    @cached_property
    def _shape(self) -> tuple[bool, str | None, bool]:
        """Whether the context is taken, the name of the input, and whether that has a default."""
        given = [
            parameter
            for parameter in inspect.signature(self._function).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        needed = [parameter for parameter in given if parameter.default is parameter.empty]
        if any(parameter.kind is parameter.KEYWORD_ONLY for parameter in needed):
            raise InvalidPackage(f"{self._where}: keyword-only parameters need a default")
        takes_context = bool(needed) and self._is_context(needed[0].name)
        inputs = needed[takes_context:]
        if len(inputs) > 1:
            names = ", ".join(parameter.name for parameter in needed)
            raise InvalidPackage(
                f"{self._where}: takes {names}; it may take the {self._context.__name__} and "
                "one input"
            )
        positional = [each for each in given if each.kind is not each.KEYWORD_ONLY]
        named = (inputs or positional[takes_context:])[:1]
        return takes_context, named[0].name if named else None, bool(named) and not inputs

    def _is_context(self, name: str) -> bool:
        hint = self._hints.get(name)
        if hint is None:
            return name in self._names
        return isinstance(hint, type) and issubclass(hint, self._context)

    @property
    def takes_context(self) -> bool:
        return self._shape[0]

    @property
    def takes_input(self) -> bool:
        return self._shape[1] is not None

    @cached_property
    def input_type(self) -> Any:
        """The annotation of the input, or None where any JSON will do."""
        name = self._shape[1]
        hint = self._hints.get(name, Any) if name else Any
        return None if hint in _RAW else hint

    @cached_property
    def result_type(self) -> Any:
        """The annotation of the result, or None."""
        hint = self._hints.get("return", Any)
        return None if hint in _RAW else hint

    @cached_property
    def _adapter(self) -> TypeAdapter[Any] | None:
        if self.input_type is None:
            return None
        try:
            return TypeAdapter(self.input_type)
        except Exception as error:
            raise InvalidPackage(
                f"{self._where}: cannot take {self.input_type!r} as input: {error}"
            ) from None

    def prepare(self) -> None:
        """Read everything now, so that a wrong signature is refused at registration."""
        _ = self._adapter, self.result_type

    def decode_input(self, text: str, path: str) -> Any:
        """The typed input from JSON text. Raises InvalidPayload naming the field."""
        if self._adapter is None:
            return decode(text)
        if (
            text == "null"
            and isinstance(self.input_type, type)
            and issubclass(self.input_type, BaseModel)
        ):
            text = "{}"  # nothing given: the model's defaults, or the names of what is missing
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise InvalidPayload(explain(error, path)) from None

    def arguments(self, context: object, text: str, path: str) -> tuple[Any, ...]:
        """The arguments for one call."""
        takes_context, name, optional = self._shape
        if name is None or (optional and text == "null"):
            return (context,) if takes_context else ()
        value = self.decode_input(text, path)
        return (context, value) if takes_context else (value,)


def explain(error: ValidationError, path: str) -> str:
    """A validation error as one line: the path to each field, what is wrong, what was got.

    With an empty `path` the fields alone are named.
    """
    lines = []
    for item in error.errors(include_url=False, include_context=False)[:3]:
        where = path
        for part in item["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}"
        got = "" if item["type"] == "missing" else f", got {shown(item['input'])}"
        message = item["msg"][:1].lower() + item["msg"][1:]
        where = where if path else where.removeprefix(".")
        lines.append(f"{where}: {message}{got}" if where else f"{message}{got}")
    more = error.error_count() - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def adapter_of(type_: Any) -> TypeAdapter[Any]:
    """What validates values of a type; kept, as making one costs more than using it."""
    try:
        return _cached_adapter(type_)
    except TypeError:  # it cannot be hashed
        return TypeAdapter(type_)


@lru_cache(maxsize=256)
def _cached_adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)
