"""How a replay identifies an operation: by its name, its arguments and its function."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, get_type_hints

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from stepwell.engine.checkpoints.checkpoint import Operation, OperationKind, operation_id
from stepwell.engine.errors import InvalidInput, ReplayMismatch, shown
from stepwell.engine.ids import check_id
from stepwell.engine.payloads.types import PayloadType, payload_type

_PLAIN = (str, int, float, bool, type(None))
# What the ids of repeated and keyed operations look like.
_TAKEN = re.compile(r"#\d+\Z|\[")
_NO_TYPE = (Any, object, inspect.Parameter.empty)


@dataclass(frozen=True, slots=True)
class Request:
    """An operation that the code requests; `call` is the method, such as `step.do`."""

    name: str
    occurrence: int
    key: str | None
    kind: OperationKind
    digest: str
    call: str

    @property
    def id(self) -> str:
        """See `Operation.id`."""
        return operation_id(self.name, self.occurrence, self.key)

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.call}({self.id!r})"

    def check(self, recorded: Operation) -> None:
        """Raises ReplayMismatch unless `recorded` is this operation."""
        if recorded.kind != self.kind:
            self.mismatch(f"was recorded as {_was(recorded.kind)}", f"asks for {_was(self.kind)}")
        if recorded.digest != self.digest:
            self.mismatch(
                f"was recorded with other arguments (digest {recorded.digest[:12] or 'none'})",
                f"gives arguments with digest {self.digest[:12] or 'none'}",
            )

    def mismatch(self, recorded: str, asked: str) -> None:
        """Raise ReplayMismatch, saying what was recorded and what is requested now."""
        raise ReplayMismatch(
            f"{self.label}: operation {self.id!r} {recorded}, and the code {asked} now; put the "
            "code back, or give the operation a new name, and retry the step",
            details={"operation": self.id, "recorded": recorded, "asked": asked},
        )


def operation_of(request: Request, began: datetime, ended: datetime, **fields: Any) -> Operation:
    """A record of `request`."""
    return Operation.model_construct(
        name=request.name,
        occurrence=request.occurrence,
        key=request.key,
        kind=request.kind,
        digest=request.digest,
        started=began,
        ended=ended,
        **fields,
    )


def check_name(name: object, call: str) -> str:
    """The name, if operations may have it. Raises InvalidInput for one that looks like an id."""
    text = check_id(name, f"{call}: name")
    if _TAKEN.search(text):
        raise InvalidInput(
            f"{call}: name {text!r:.120} looks like the id of a repeated or keyed operation; "
            "use a plain name, and key=… to tell operations of one name apart"
        )
    return text


# Stands for a value that is left out of a digest.
_LIVE = "<live>"


def digest(*arguments: Any, **named: Any) -> str:
    """SHA-256 of the arguments' canonical JSON; "" without arguments.

    Values that cannot be JSON, such as a client object, are left out: they differ in each process.
    """
    if not arguments and not named:
        return ""
    try:
        plain = canonical([list(arguments), named])
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    except (RecursionError, ValueError):
        text = json.dumps([_LIVE for _ in (*arguments, *named)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def canonical(value: Any) -> Any:
    """Plain JSON values in an order that is the same in every process."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, BaseModel):
        return canonical(dict(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else json.dumps(canonical(key)): canonical(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((canonical(item) for item in value), key=json.dumps)
    if isinstance(value, Iterator):
        return _LIVE  # reading it would use it up
    try:
        return to_jsonable_python(value, bytes_mode="base64")
    except Exception:
        return _LIVE


def plain_function(function: Any) -> Any:
    """The function inside partials, bound methods and callable objects."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function) if callable(function) else function
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__") and not isinstance(function, type):
        called = vars(type(function)).get("__call__")
        return called if hasattr(called, "__code__") else function
    return function


def identity(function: Any) -> tuple[object, str]:
    """A value that is equal for functions that count as the same, and a name for messages."""
    plain = plain_function(function)
    name = f"{getattr(plain, '__module__', '')}.{getattr(plain, '__qualname__', repr(plain)[:80])}"
    code = getattr(plain, "__code__", None)
    if code is None:
        return plain, name
    return (code.co_filename, code.co_firstlineno, code.co_qualname), name


def result_type(function: Callable[..., Any], label: str) -> PayloadType | None:
    """The type that reads the function's value, or None without an annotation.

    Raises InvalidInput for an annotation that cannot be resolved or validated.
    """
    plain = plain_function(function)
    notes = getattr(plain, "__annotations__", None) or {}
    hint = notes.get("return", Any) if not isinstance(plain, type) else plain
    if isinstance(hint, str):
        hint = _resolved(plain, hint, label)
    elif hint is None:
        hint = type(None)
    if hint in _NO_TYPE:
        return None
    try:
        return payload_type(hint)
    except Exception as error:
        raise InvalidInput(
            f"{label}: a value of type {shown(hint)} cannot be recorded: {error}"
        ) from None


def _resolved(function: Any, hint: str, label: str) -> Any:
    try:
        if inspect.isfunction(function) and function.__closure__:
            return _evaluated(function, hint, inspect.getclosurevars(function).nonlocals)
        return _global(function, hint)
    except NameError as error:
        raise InvalidInput(
            f"{label}: cannot resolve the annotation of what {function.__qualname__} returns: "
            f"{error}; define the type at the top level of the module"
        ) from None


@lru_cache(1_000)
def _global(function: Any, hint: str) -> Any:
    return _evaluated(function, hint, {})


def _evaluated(function: Any, hint: str, local: Mapping[str, Any]) -> Any:
    of_return = SimpleNamespace(__annotations__={"return": hint})
    names = getattr(function, "__globals__", {})
    return get_type_hints(of_return, names, dict(local), include_extras=True)["return"]


def _was(kind: str) -> str:
    return {
        "do": "a step.do",
        "sleep": "a step.sleep",
        "receive": "a step.receive",
        "approval": "a step.wait_for_approval",
        "value": "a read of a run's value",
        "set_value": "a step.set_value",
        "any": "a step.wait_any",
        "all": "a step.wait_all",
    }.get(kind, f"{kind!r}")
