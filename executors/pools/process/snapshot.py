"""What a child process gets when it starts: settings, stores, and what the parent can run.

Multiprocessing itself passes it on; everything later is JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import Any

from stepwell.engine.errors import (
    InvalidPackage,
    NotFound,
    StepError,
    StepwellError,
    nearest,
    shown,
)
from stepwell.engine.model import ExecutorOptions, Queue
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import Catalog, Executor
from stepwell.engine.services import Around, Services
from stepwell.engine.settings import Settings
from stepwell.engine.signature import Signature, signature_of
from stepwell.executors.kinds import BUILT_IN


class DistantExecutor:
    """An executor of the parent; the child finds it again when it first needs it.

    So a module that cannot be imported there only fails its own steps.
    """

    def __init__(
        self, kind: str, find: Callable[..., Any] | None, arguments: tuple[Any, ...], reason: str
    ) -> None:
        self.kind = kind
        self._find = find
        self._arguments = arguments
        self._reason = reason
        self._found: Executor | None = None

    @property
    def found(self) -> Executor:
        """The executor itself. Raises InvalidPackage, or what importing its module raises."""
        if self._found is not None:
            return self._found
        if self._find is None:
            raise InvalidPackage(self._reason)
        try:
            found: Executor = self._find(*self._arguments)
        except AttributeError as error:
            raise InvalidPackage(
                f"executor {self.kind!r}: a child process cannot find it: {error}; "
                "pool='process' needs it at the top level of an importable module"
            ) from error
        self._found = found
        return found

    @property
    def signature(self) -> Signature | None:
        """The executor's signature, if it has one."""
        return signature_of(self.found)

    def load(self) -> None:
        """Find it now. Raises as `found` does."""
        _ = self.found

    def execute(self, step: Any) -> Any:
        """Run one step."""
        return self.found.execute(step)


@dataclass
class Snapshot:
    """The parent's catalog as it was when the child started; a Catalog that only reads."""

    executors: dict[str, Executor]
    defaults: dict[str, ExecutorOptions]
    packages: dict[str, str | None]
    queues: tuple[str, ...]
    _signatures: dict[str, Signature | None] = field(default_factory=dict)

    @classmethod
    def of(cls, catalog: Catalog) -> Snapshot:
        """A copy of what a child may need of a catalog."""
        kinds = catalog.kinds()
        defaults = {kind: catalog.options(kind) for kind in kinds}
        return cls(
            {kind: _portable(catalog.executor(kind)) for kind in kinds if kind not in BUILT_IN},
            defaults,
            {kind: catalog.package_of(kind) for kind in kinds},
            tuple(catalog.queue_names()),
        )

    def executor(self, kind: str) -> Executor:
        if kind not in self.executors:
            raise NotFound(f"there is no executor {kind!r}{nearest(kind, self.executors)}")
        return self.executors[kind]

    def options(self, kind: str) -> ExecutorOptions:
        if kind not in self.defaults:
            raise NotFound(f"there is no executor {kind!r}{nearest(kind, self.defaults)}")
        return self.defaults[kind]

    def kinds(self) -> Sequence[str]:
        return tuple(self.defaults)

    def queue_names(self) -> Sequence[str]:
        return self.queues

    def package_of(self, kind: str) -> str | None:
        return self.packages.get(kind)

    def pool_name(self, kind: str) -> str:
        return self.options(kind).pool or "thread"

    def encode_input(self, kind: str, value: Any, path: str, limit: int) -> str:
        if kind not in self._signatures:
            self._signatures[kind] = self._signature(kind)
        signature = self._signatures[kind]
        if signature is None:
            return encode(value, path, limit)
        return signature.encode_input(value, path, limit)

    def _signature(self, kind: str) -> Signature | None:
        try:
            return signature_of(self.executors.get(kind))
        except (
            Exception
        ):  # an input whose executor cannot be imported here is checked where it runs
            return None

    def register(self, executor: Executor) -> None:
        raise StepwellError(f"executor {executor.kind!r}: a child process cannot register it")

    def add_package(self, package: Any, *, replace: bool = False) -> None:  # noqa: ARG002  # a contract's
        raise StepwellError(f"{package!r}: a child process cannot register it")

    def define_queue(self, queue: Queue) -> None:
        raise StepwellError(f"queue {queue.name!r}: a child process cannot define it")


@dataclass(frozen=True)
class Setup:
    """Everything a child starts with."""

    worker_id: str
    catalog: Snapshot
    settings: Settings
    artifacts: Any
    projections: Any
    around: tuple[Around, ...]
    log_level: int | None
    log_format: logging.Formatter | None

    @classmethod
    def of(cls, services: Services, worker_id: str) -> Setup:
        """What a child of this worker needs at this moment.

        Raises StepError if a required part cannot be passed on.
        """
        level, formatter = _logging()
        return cls(
            worker_id,
            Snapshot.of(services.catalog),
            services.settings,
            _handed_over(services.artifacts, "artifact store"),
            _handed_over(services.projections, "projection store"),
            tuple(map(_importable, services.around)),
            level,
            formatter,
        )


class LeftBehind:
    """Replaces, in the child, a store that exists only in the parent's memory."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "what":
            raise AttributeError(name)
        raise StepwellError(
            f"this {self.what} lives in the memory of the worker's process; "
            f"use one on disk, or another pool than 'process' for steps that need it"
        )


def _portable(executor: Executor) -> Executor:
    """The executor, in a form that can always be passed to a child."""
    kind = executor.kind
    if isinstance(executor, ExecutorFunction):
        try:
            find, arguments = executor.__reduce__()
        except InvalidPackage as error:
            return DistantExecutor(kind, None, (), str(error))
        return DistantExecutor(kind, find, arguments, "")
    if _can_travel(executor):
        return executor
    reason = f"executor {kind!r}: {type(executor).__name__} objects cannot be given to a process"
    return DistantExecutor(kind, None, (), f"{reason}; use a function at the top level of a module")


def _can_travel(value: object) -> bool:
    try:
        ForkingPickler.dumps(value)
    except Exception:
        return False
    return True


def _handed_over(store: object, what: str) -> object:
    return store if _can_travel(store) else LeftBehind(what)


def _importable(around: Around) -> Around:
    if _can_travel(around):
        return around
    raise StepError(
        "process_start",
        f"around: {shown(around)} cannot be given to a child process; "
        "use a function at the top level of a module",
    )


def _logging() -> tuple[int | None, logging.Formatter | None]:
    """The level and format of the parent's log, or None if none is set up."""
    for logger in (logging.getLogger("stepwell"), logging.getLogger()):
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                formatter = handler.formatter if _can_travel(handler.formatter) else None
                return logging.getLogger("stepwell").getEffectiveLevel(), formatter
    return None, None
