"""Packages: the entrypoints, executors and queues of a domain, as their author declares them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import update_wrapper
from importlib import import_module
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from stepwell.engine.descriptions import PackageDescription, describe_executor
from stepwell.engine.entrypoints import (
    Entrypoint,
    EntrypointOptions,
    Registration,
    WorkflowOptions,
    checked_description,
    checked_recoveries,
    checked_tags,
    checked_title,
)
from stepwell.engine.errors import InvalidInput, InvalidPackage, NotFound, nearest, shown
from stepwell.engine.executor_methods import ExecutorMark, marked_methods, not_in_children
from stepwell.engine.executor_options import ExecutorDefaults, check_options, executor_options
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.ids import check_id
from stepwell.engine.model import ExecutorOptions, Queue
from stepwell.engine.ports import Executor
from stepwell.engine.queue_rules import check_queue
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
        if inspect.ismethod(function):
            raise InvalidPackage(f"executor {self.kind!r}: {not_in_children(function)}")
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
    `description` are for people; `tags` are given to each of its runs. `defaults` are the options
    that its executors and workflows leave out: see `ExecutorDefaults`.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        queues: Sequence[Queue] = (),
        **defaults: Unpack[ExecutorDefaults],
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
        self.defaults = executor_options(f"package {name!r}", defaults)
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

    @overload
    def executor(self, function: Callable[P, R], /) -> ExecutorFunction[P, R]: ...
    @overload
    def executor(
        self, kind: str | None = None, **options: Unpack[ExecutorDefaults]
    ) -> Callable[[Callable[P, R]], ExecutorFunction[P, R]]: ...
    def executor(self, kind: Any = None, **options: Any) -> Any:
        """Declare the function that runs steps of a kind: `@package.executor`, or with options.

        Without a `kind`, it is `<package>.<function's name>`. The function may take a
        `StepContext`, then its typed input; it may be a coroutine. The options are the defaults of
        such steps; those that are left out are the package's.
        """

        def declare(function: Callable[P, R]) -> ExecutorFunction[P, R]:
            own = given if given is not None else self._kind_of(name_of(function))
            executor = ExecutorFunction(own, function, chosen)
            self.add_executor(executor)
            return executor

        bare = callable(kind)
        given = None if bare else kind
        if given is not None:
            check_id(given, "executor.kind")
        where = f"package {self.name!r}: executor" if given is None else f"executor {given!r}"
        chosen = executor_options(where, options, self.defaults)
        return declare(kind) if bare else declare

    @overload
    def workflow(self, function: Callable[P, R], /) -> Workflow[P, R]: ...
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
        dies more than `max_recoveries` times, the run fails; `list --dead` shows it. The other
        options are those of `executor`.
        """
        where = f"package {self.name!r}: workflow"
        check_options(options, WorkflowOptions.__annotations__, where)
        most = checked_recoveries(options.get("max_recoveries"), f"{where}.max_recoveries")
        own = ExecutorDefaults.__annotations__
        given = {name: value for name, value in options.items() if name in own}

        def declare(function: Callable[P, R]) -> Workflow[P, R]:
            label = options.get("name") or name_of(function)
            check_id(label, f"{where} name")
            chosen = executor_options(f"workflow {label!r}", given, self.defaults)
            made = Workflow(self.name, label, function, chosen, most)
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
        self._check_new(executor.kind)
        self.executors[executor.kind] = executor

    def add_executors(self, owner: object) -> tuple[ExecutorFunction[..., Any], ...]:
        """Declare each method of an object that is marked with `@executor_method`; returns them.

        They run on this object and share what it holds, such as a client. Raises InvalidPackage if
        no method is marked, if a kind is taken, and for the pool "process", whose children do not
        have the object; then none was declared.
        """
        found = marked_methods(owner, f"package {self.name!r}")
        made = tuple(self._executor_of(*each) for each in found)
        kinds = [executor.kind for executor in made]
        for kind in kinds:
            self._check_new(kind, kinds)
        for executor in made:
            self.add_executor(executor)
        return made

    def _executor_of(
        self, name: str, method: Callable[..., Any], mark: ExecutorMark
    ) -> ExecutorFunction[..., Any]:
        kind = mark.kind or self._kind_of(name)
        options = executor_options(f"executor {kind!r}", mark.options, self.defaults)
        if options.pool == "process":
            raise InvalidPackage(f"executor {kind!r}: {not_in_children(method)}")
        return ExecutorFunction(kind, method, options)

    def _kind_of(self, name: str) -> str:
        """The kind of a function that was given none."""
        if not name.isidentifier():
            raise InvalidPackage(
                f"package {self.name!r}: {name!r} cannot be part of a kind; give it one: "
                "@package.executor('…')"
            )
        return f"{self.name}.{name}"

    def _check_new(self, kind: str, others: Sequence[str] = ()) -> None:
        if kind in self.executors or others.count(kind) > 1:
            raise InvalidPackage(f"package {self.name!r}: executor {kind!r} is registered twice")

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
            executors=tuple(
                describe_executor(each, self.defaults) for each in self.executors.values()
            ),
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


def check_executor(executor: Any) -> None:
    """Raises InvalidPackage unless the object has a `kind` and an `execute` method."""
    if isinstance(executor, type) or not isinstance(executor, Executor):
        raise InvalidPackage(
            f"an executor needs a `kind` and a method `execute(step)`, got {shown(executor)}"
        )
    check_id(executor.kind, "executor.kind")
    if not callable(executor.execute):
        raise InvalidPackage(f"executor {executor.kind!r}: `execute` must be a method")
