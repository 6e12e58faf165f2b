"""Packages: the entrypoints, executors and queues of a domain, as their author declares them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import update_wrapper
from importlib import import_module
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from stepwell.engine.descriptions import PackageDescription, describe_executor
from stepwell.engine.entrypoints import (
    Entrypoint,
    EntrypointOptions,
    Registration,
    WorkflowOptions,
    check_options,
    checked_description,
    checked_tags,
    checked_title,
)
from stepwell.engine.errors import InvalidInput, InvalidPackage, NotFound, nearest, shown
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.graph.graph import check_priority, check_timeout
from stepwell.engine.ids import check_id
from stepwell.engine.model import DEFAULT_QUEUE, ExecutorOptions, Queue
from stepwell.engine.ports import Executor
from stepwell.engine.queue_rules import check_queue
from stepwell.engine.retry import Retry
from stepwell.engine.signature import Signature, is_coroutine_function, name_of
from stepwell.engine.step.context import StepContext

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z")


class ExecutorFunction(Generic[P, R]):
    """A function that runs steps of one kind. Calling it calls the function, for unit tests."""

    def __init__(self, kind: str, function: Callable[P, R], options: ExecutorOptions) -> None:
        update_wrapper(self, function)  # first: a callable object may have attributes of its own
        self.kind = kind
        self.function = function
        self.options = options
        self.signature = Signature(function, StepContext, {"step", "ctx", "context"})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<executor {self.kind}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # A child of the process pool finds the function again by importing its module.
        function: Any = self.function
        if not inspect.isfunction(function):
            raise InvalidPackage(
                f"executor {self.kind!r}: {shown(function)} is not a function; pool='process' "
                "needs one at the top level of a module"
            )
        if "<locals>" in function.__qualname__:
            raise InvalidPackage(
                f"executor {self.kind!r}: {function.__qualname__} is defined inside a "
                "function; pool='process' needs it at the top level of a module"
            )
        return _find, (function.__module__, function.__qualname__)

    def execute(self, step: StepContext) -> Any:
        """Decode the input and call the function."""
        text = step.raw_input
        return self.function(*self.signature.arguments(step, text, "input"))  # type: ignore[call-arg]


def _find(module: str, qualname: str) -> Any:
    found: Any = import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


class Workflow(ExecutorFunction[P, R]):
    """A durable function that is a whole run: a run of one step, called like the function.

    `max_recoveries` is how often it may run again after its worker died; None leaves that to the
    workers' `max_lost_leases`.
    """

    def __init__(
        self,
        package: str,
        name: str,
        function: Callable[P, R],
        options: ExecutorOptions,
        max_recoveries: int | None,
    ) -> None:
        super().__init__(f"{package}.{name}", function, options)
        self.package = package
        self.name = name
        self.max_recoveries = max_recoveries

    def __repr__(self) -> str:
        return f"<workflow {self.kind}>"


class TypedWorkflow(Protocol[R_co]):
    """A workflow whose result type is known from its function."""

    @property
    def package(self) -> str: ...
    @property
    def max_recoveries(self) -> int | None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...


class WorkflowEntrypoint(Entrypoint):
    """The entrypoint of a workflow's runs: one step, named like the workflow."""

    type = "workflow"

    def __init__(self, workflow: Workflow[Any, Any], registration: Registration) -> None:
        super().__init__(
            workflow.package, workflow.name, workflow.function, registration, workflow.signature
        )
        self.workflow = workflow
        self.max_recoveries = workflow.max_recoveries

    def build(self, run: RunBuilder) -> None:
        """Add the step. Raises InvalidPayload when the input is not of the workflow's type."""
        self.signature.arguments(run, run.raw_input, "input")
        run.step(self.workflow, run.input, id=self.name)
        if self.max_recoveries is not None:
            run.limit_recoveries(self.name, self.max_recoveries)


class Package:
    """A named domain: entrypoints, workflows, executors and queues.

    Runs are started by its `name`: a letter, then letters, digits, `_`, `.` and `-`. `title` and
    `description` are for people; `tags` are given to each of its runs.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        queues: Sequence[Queue] = (),
    ) -> None:
        if not isinstance(name, str) or not _NAME.match(name):
            raise InvalidPackage(
                "package.name: must be 1 to 100 characters, a letter first, then letters, "
                f"digits, '_', '.' and '-', got {name!r:.120}"
            )
        where = f"package {name!r}"
        self.name = name
        self.title = checked_title(title, f"{where}.title") or name
        self.description = checked_description(description, f"{where}.description") or ""
        self.tags = checked_tags(tags, f"{where}.tags")
        self.queues: list[Queue] = []
        self.entrypoints: dict[str, Entrypoint] = {}
        self.executors: dict[str, Executor] = {}
        for queue in queues:
            self.add_queue(queue)

    def __repr__(self) -> str:
        return f"<package {self.name}>"

    def add_queue(self, queue: Queue) -> None:
        """Declare a queue; its limits are stored when a runtime opens with this package."""
        check_queue(queue)
        if any(queue.name == other.name for other in self.queues):
            raise InvalidPackage(f"package {self.name!r}: queue {queue.name!r} is declared twice")
        self.queues.append(queue)

    @overload
    def entrypoint(self, function: F) -> F: ...
    @overload
    def entrypoint(self, **options: Unpack[EntrypointOptions]) -> Callable[[F], F]: ...
    def entrypoint(
        self, function: Callable[..., Any] | None = None, **options: Unpack[EntrypointOptions]
    ) -> Any:
        """Declare how runs begin: `@package.entrypoint`, or with `EntrypointOptions`.

        The function takes a `RunBuilder` and, optionally, the run's input. If there are several,
        each has a `name`.
        """
        where = f"package {self.name!r}: entrypoint"
        check_options(options, EntrypointOptions.__annotations__, where)

        def declare(function: F) -> F:
            label = options.get("name") or name_of(function)
            check_id(label, f"{where} name")
            if label in self.entrypoints:
                raise InvalidPackage(f"{where} {label!r} is declared twice")
            if is_coroutine_function(function):
                raise InvalidPackage(f"{where} {label!r} must be a plain function")
            registration = Registration.of(
                function, label, options, self.tags, f"{where} {label!r}"
            )
            self.entrypoints[label] = Entrypoint(self.name, label, function, registration)
            return function

        if function is None:
            return declare
        if not callable(function):
            raise InvalidPackage(
                f"package {self.name!r}: @package.entrypoint takes a function, got {function!r}; "
                f"name one with @package.entrypoint(name={function!r})"
            )
        return declare(function)

    def executor(
        self,
        kind: str,
        *,
        queue: str = DEFAULT_QUEUE,
        retry: Retry | None = None,
        timeout: timedelta | float | None = None,
        priority: int = 0,
        pool: str | None = None,
    ) -> Callable[[Callable[P, R]], ExecutorFunction[P, R]]:
        """Declare the function that runs steps of `kind`, and the defaults of such steps.

        The function may take a `StepContext`, then its typed input; it may be a coroutine.
        `pool` is "inline", "thread", "asyncio", "process", or another one that is installed or
        given to `connect()`; it must exist when the package is registered.
        """
        check_id(kind, "executor.kind")
        given = {"retry": retry, "timeout": timeout, "priority": priority, "pool": pool}
        options = _options(f"executor {kind!r}", queue, given)

        def declare(function: Callable[P, R]) -> ExecutorFunction[P, R]:
            executor = ExecutorFunction(kind, function, options)
            self.add_executor(executor)
            return executor

        return declare

    @overload
    def workflow(self, function: Callable[P, R]) -> Workflow[P, R]: ...
    @overload
    def workflow(
        self, **options: Unpack[WorkflowOptions]
    ) -> Callable[[Callable[P, R]], Workflow[P, R]]: ...
    def workflow(
        self, function: Callable[..., Any] | None = None, **options: Unpack[WorkflowOptions]
    ) -> Any:
        """Declare a durable function as a whole run: `@package.workflow`, or `WorkflowOptions`.

        It takes a `StepContext`, then its typed input, and may be a coroutine. Start it with
        `runtime.start_run(function, input)`, or by the package's name and its own. If its worker
        dies more than `max_recoveries` times, the run fails; `list --dead` shows it.
        """
        where = f"package {self.name!r}: workflow"
        check_options(options, WorkflowOptions.__annotations__, where)
        given = {name: options.get(name) for name in ("retry", "timeout", "pool")}
        queue, most = options.get("queue", DEFAULT_QUEUE), options.get("max_recoveries")
        whole = isinstance(most, int) and not isinstance(most, bool)
        if most is not None and not (whole and 0 <= most <= 1_000):
            raise InvalidPackage(
                f"{where}.max_recoveries: must be a whole number from 0 to 1000, got {shown(most)}"
            )

        def declare(function: Callable[P, R]) -> Workflow[P, R]:
            label = options.get("name") or name_of(function)
            check_id(label, f"{where} name")
            defaults = _options(f"workflow {label!r}", queue, {**given, "priority": 0})
            made = Workflow(self.name, label, function, defaults, most)
            if label in self.entrypoints:
                raise InvalidPackage(
                    f"package {self.name!r}: {label!r} is declared twice, as entrypoint or workflow"
                )
            registration = Registration.of(
                function, label, options, self.tags, f"{where} {label!r}"
            )
            self.add_executor(made)
            self.entrypoints[label] = WorkflowEntrypoint(made, registration)
            return made

        if function is None:
            return declare
        if not callable(function):
            raise InvalidPackage(
                f"package {self.name!r}: @package.workflow takes a function, got "
                f"{shown(function)}; name one with @package.workflow(name={shown(function)})"
            )
        return declare(function)

    def add_executor(self, executor: Executor) -> None:
        """Declare an executor object: it has a `kind` and a method `execute(step)`."""
        check_executor(executor)
        if executor.kind in self.executors:
            raise InvalidPackage(
                f"package {self.name!r}: executor {executor.kind!r} is registered twice"
            )
        self.executors[executor.kind] = executor

    def find_entrypoint(self, name: str | None) -> Entrypoint:
        """The entrypoint by name, or the only one. Raises NotFound or InvalidInput."""
        if name is None:
            if len(self.entrypoints) > 1:
                raise InvalidInput(
                    f"package {self.name!r} has several entrypoints; choose one of "
                    f"{', '.join(map(repr, self.entrypoints))}"
                )
            return next(iter(self.entrypoints.values()))
        if not isinstance(name, str) or name not in self.entrypoints:
            raise NotFound(
                f"package {self.name!r} has no entrypoint {shown(name)}"
                f"{nearest(name, self.entrypoints)}"
            )
        return self.entrypoints[name]

    def describe(self) -> PackageDescription:
        """All that is known of it, as values: for a list, a form, or a program."""
        return PackageDescription(
            name=self.name,
            title=self.title,
            description=self.description,
            tags=self.tags,
            entrypoints=tuple(each.describe() for each in self.entrypoints.values()),
            kinds=tuple(self.executors),
            executors=tuple(describe_executor(each) for each in self.executors.values()),
            queues=tuple(queue.name for queue in self.queues),
        )

    def prepare(self) -> None:
        """Check the whole declaration. Raises InvalidPackage."""
        if not self.entrypoints:
            raise InvalidPackage(
                f"package {self.name!r} has no entrypoint; declare one with "
                "@package.entrypoint or @package.workflow"
            )
        for entrypoint in self.entrypoints.values():
            entrypoint.prepare()
        for executor in self.executors.values():
            signature = getattr(executor, "signature", None)
            if isinstance(signature, Signature):
                signature.prepare()


def _options(where: str, queue: str, given: dict[str, Any]) -> ExecutorOptions:
    """The options, checked. Raises InvalidPackage or InvalidInput naming `where`."""
    retry, timeout, priority, pool = (
        given[name] for name in ("retry", "timeout", "priority", "pool")
    )
    if retry is not None and not isinstance(retry, Retry):
        raise InvalidPackage(f"{where}.retry: must be a Retry(...), got {shown(retry)}")
    if timeout is not None:
        timeout = timedelta(microseconds=check_timeout(timeout, f"{where}.timeout"))
    check_priority(priority, f"{where}.priority")
    if pool is not None and not isinstance(pool, str):
        raise InvalidPackage(f"{where}.pool: must be the name of a pool, got {shown(pool)}")
    return ExecutorOptions(queue, retry, timeout, priority, pool)


def check_executor(executor: Any) -> None:
    """Raises InvalidPackage unless the object has a `kind` and an `execute` method."""
    if isinstance(executor, type) or not isinstance(executor, Executor):
        raise InvalidPackage(
            f"an executor needs a `kind` and a method `execute(step)`, got {shown(executor)}"
        )
    check_id(executor.kind, "executor.kind")
    if not callable(executor.execute):
        raise InvalidPackage(f"executor {executor.kind!r}: `execute` must be a method")
