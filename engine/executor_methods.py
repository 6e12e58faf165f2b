"""Methods of an object as executors: how they are marked, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, Unpack, overload

from stepwell.engine.errors import InvalidPackage, shown
from stepwell.engine.executor_options import ExecutorDefaults, executor_options
from stepwell.engine.ids import check_id
from stepwell.engine.signature import name_of

F = TypeVar("F", bound=Callable[..., Any])

# The attribute of a method that holds its mark.
_MARK: Final = "__stepwell_executor__"


@dataclass(frozen=True, slots=True)
class ExecutorMark:
    """How a method was marked; `kind` None means `<package>.<method's name>`."""

    kind: str | None
    options: Mapping[str, Any]


@overload
def executor_method(function: F, /) -> F: ...
@overload
def executor_method(
    kind: str | None = None, /, **options: Unpack[ExecutorDefaults]
) -> Callable[[F], F]: ...
def executor_method(given: Any = None, /, **options: Any) -> Any:
    """Mark a method as an executor, for `package.add_executors(object)`.

    `@executor_method`, or with a kind and options as `@package.executor` takes them. Without a
    kind, it is `<package>.<method's name>`. The method itself does not change. In a derived class,
    a method that overrides a marked one is an executor too.
    """
    if callable(given):
        return _marked(given, ExecutorMark(None, options))
    if given is not None:
        check_id(given, "executor.kind")
    executor_options("executor_method" if given is None else f"executor {given!r}", options)
    return lambda function: _marked(function, ExecutorMark(given, options))


def _marked(function: F, mark: ExecutorMark) -> F:
    if not callable(function):
        raise InvalidPackage(f"@executor_method takes a method, got {shown(function)}")
    if name_of(function).startswith("_"):
        raise InvalidPackage(
            f"@executor_method: {name_of(function)!r} is private; the name of an "
            "executor begins with a letter"
        )
    setattr(function, _MARK, mark)
    return function


def marked_methods(owner: object, where: str) -> list[tuple[str, Callable[..., Any], ExecutorMark]]:
    """The name, the bound method and the mark of each marked method, base classes first.

    Raises InvalidPackage, which begins with `where`, if there is none.
    """
    if isinstance(owner, type):
        raise InvalidPackage(
            f"{where}: add_executors takes an object, got the class {owner.__name__}; make one of "
            "it"
        )
    marks: dict[str, ExecutorMark] = {}
    for cls in reversed(type(owner).__mro__):
        for name, value in vars(cls).items():
            for function in (value, getattr(value, "__func__", None)):
                if isinstance(mark := getattr(function, _MARK, None), ExecutorMark):
                    marks[name] = mark
    methods = [(name, getattr(owner, name), mark) for name, mark in marks.items()]
    found = [each for each in methods if callable(each[1])]  # a derived class may remove one
    if not found:
        raise InvalidPackage(
            f"{where}: {type(owner).__name__} has no method that is marked with @executor_method"
        )
    return found


def not_in_children(method: Callable[..., Any]) -> str:
    """Why a method cannot run in the process pool."""
    name = getattr(method, "__qualname__", name_of(method))
    return (
        f"{name} is a method of an object, which a child process does not have; pool='process' "
        "needs a function at the top level of a module"
    )
