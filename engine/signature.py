"""What a package author's function takes and returns, read from its annotations once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import cached_property, partial
from typing import Any, Never, NoReturn, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from stepwell.engine.errors import InvalidPackage, InvalidPayload, shown
from stepwell.engine.payloads.checks import LEAVES
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.payloads.types import PayloadType

_RAW = (Any, object, inspect.Parameter.empty, NoReturn, Never)
# What a plain function may return for the engine to await.
_AWAITED = (Awaitable, Coroutine)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Signature:
    """How to call `function(context, input)`, and the types of its input and its result.

    The function may take the context, then the input, or either of them, or nothing. The input's
    annotation is validated by pydantic; without one it arrives as plain JSON values. An input with
    a default value may be left out. Other parameters keep their defaults.

    Raises:
        InvalidPackage: at once for a generator function; for other parameters, or an annotation
            that cannot be resolved, on first use of the signature, because a module may define
            the types after the function.
    """

    def __init__(self, function: Callable[..., Any], context: type, context_names: set[str]):
        self._function = function
        self._annotated = body_of(function, unwrap=True)
        self._context = context
        self._names = context_names
        body = body_of(function)
        if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
            raise InvalidPackage(
                f"{self._where}: is a generator function, whose body would never run; use return, "
                "and a list for many values"
            )

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self._annotated, include_extras=True)
        except NameError as error:
            raise InvalidPackage(
                f"{self._where}: cannot resolve an annotation: {error}; "
                "define the type at the top level of the module"
            ) from None

    @property
    def _where(self) -> str:
        return f"{self._annotated.__module__}.{self._annotated.__qualname__}"

    @cached_property
    def _shape(self) -> tuple[bool, str | None, bool]:
        """Whether it takes the context, the name of its input, and whether that has a default."""
        found = inspect.signature(self._function).parameters.values()
        given = [parameter for parameter in found if parameter.kind not in _VARIABLE]
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
        if not named and len(found) > len(given):
            raise InvalidPackage(
                f"{self._where}: takes {', '.join(map(str, found))}, none of which can take "
                "the input; add a parameter for it, and use functools.wraps in a decorator"
            )
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

    @property
    def needs_input(self) -> bool:
        """Whether it takes an input that has no default."""
        return self.takes_input and not self._shape[2]

    @cached_property
    def input_type(self) -> Any:
        """The annotation of the input, or None if it takes any JSON."""
        name = self._shape[1]
        hint = self._hints.get(name, Any) if name else Any
        return None if hint in _RAW else hint

    @cached_property
    def result_type(self) -> Any:
        """The annotation of the result, or None."""
        hint = self._hints.get("return", Any)
        if get_origin(hint) in _AWAITED:
            hint = get_args(hint)[-1]
        return None if hint in _RAW else hint

    @cached_property
    def _input(self) -> PayloadType | None:
        if self.input_type is None:
            return None
        try:
            return PayloadType(self.input_type)
        except Exception as error:
            raise InvalidPackage(
                f"{self._where}: cannot take {self.input_type!r} as input: {error}"
            ) from None

    @cached_property
    def result(self) -> PayloadType | None:
        """The type by which results are written and read.

        None for plain JSON: without an annotation, with one that pydantic does not know, or if
        the function returns only None.
        """
        hint = self.result_type
        if hint is None or hint is type(None):
            return None
        try:
            return PayloadType(hint)
        except Exception:  # a protocol, say, or a class that pydantic does not know
            return None

    @cached_property
    def _plain_input(self) -> type | None:
        """The class whose instances are passed on as inputs without a check."""
        if not self.takes_input:
            return type(None)
        return self.input_type if self.input_type in LEAVES else None

    @cached_property
    def _plain_result(self) -> type | None:
        return self.result_type if self.result_type in LEAVES else None

    def prepare(self) -> None:
        """Read everything now, so that registration refuses a wrong signature."""
        _ = self._shape, self._input, self.result

    def encode_input(self, value: Any, path: str, limit: int) -> str:
        """The JSON text of an input for the function.

        Raises InvalidPayload naming the field, or if the function takes no input.
        """
        if type(value) is self._plain_input:
            return encode(value, path, limit)
        if not self.takes_input:
            raise InvalidPayload(
                f"{path}: {self._where} has no parameter for an input, got {shown(value)}; add "
                "one, or pass no input"
            )
        if self._input is None:
            return encode(value, path, limit)
        if value is None:
            if not self._shape[2]:
                self.decode_input("null", path)
            return "null"
        return self._input.write(value, path, limit)

    def encode_result(self, value: Any, path: str, limit: int, *, returned: bool) -> str:
        """The JSON text of a result, checked against the annotation if it was `returned`.

        Raises InvalidPayload naming the field and the type.
        """
        if type(value) is self._plain_result:
            return encode(value, path, limit)
        of = self.result
        if of is not None:
            return of.write(value, path, limit, strict=True)
        if returned and self.result_type is type(None):
            raise InvalidPayload(f"{path}: must be None, as it is annotated, got {shown(value)}")
        return encode(value, path, limit)

    def decode_input(self, text: str, path: str) -> Any:
        """The typed input from JSON text. Raises InvalidPayload naming the field."""
        if self._input is None:
            return decode(text)
        if (
            text == "null"
            and isinstance(self.input_type, type)
            and issubclass(self.input_type, BaseModel)
        ):
            text = "{}"  # no input: the model's defaults, or an error that names missing fields
        return self._input.read(text, path)

    def arguments(self, context: object, text: str, path: str) -> tuple[Any, ...]:
        """The arguments for one call."""
        takes_context, name, optional = self._shape
        if name is None or (optional and text == "null"):
            return (context,) if takes_context else ()
        value = self.decode_input(text, path)
        return (context, value) if takes_context else (value,)


def body_of(function: Callable[..., Any], *, unwrap: bool = False) -> Any:
    """The function that actually runs, inside partials, methods and callable objects.

    With `unwrap`, also inside decorators, whose own annotations may differ.
    """
    body: Any = function
    while isinstance(body, partial):
        body = body.func
    if unwrap and hasattr(body, "__wrapped__"):
        return body_of(inspect.unwrap(body))
    if not inspect.isroutine(body) and not isinstance(body, type):
        body = type(body).__call__
    return getattr(body, "__func__", body)


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function; for a callable object, that of its class."""
    body: Any = function
    while isinstance(body, partial):
        body = body.func
    return str(getattr(body, "__name__", type(body).__name__))


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether calling it returns a coroutine; also for partials and callable objects."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(body_of(function))


def signature_of(executor: object) -> Signature | None:
    """The signature of an executor that is a function; None for an object of the author's own."""
    signature = getattr(executor, "signature", None)
    return signature if isinstance(signature, Signature) else None
