"""What this process can run: packages, executors by kind, and queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import stepwell.executors as executors
from stepwell.engine.descriptions import options_of, pool_of
from stepwell.engine.errors import InvalidInput, InvalidPackage, NotFound, nearest, shown
from stepwell.engine.executor_options import ENGINE_DEFAULTS
from stepwell.engine.model import DEFAULT_QUEUE, ExecutorOptions, Queue
from stepwell.engine.package import ExecutorFunction, Package, check_executor
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import Executor
from stepwell.engine.queue_rules import check_queue
from stepwell.engine.signature import Signature, signature_of
from stepwell.engine.worker.pool_spec import FindPool
from stepwell.executors.kinds import BUILT_IN, missing_library
from stepwell.executors.pools.registered import RegisteredPools


class Registry:
    """The one Catalog. Registering is done before work begins; afterwards it is only read."""

    def __init__(
        self,
        packages: Iterable[Package] = (),
        queues: Iterable[Queue] = (),
        find_pool: FindPool | None = None,
    ) -> None:
        self._find_pool = find_pool or RegisteredPools().find
        self.packages: dict[str, Package] = {}
        self.queues: dict[str, Queue] = {DEFAULT_QUEUE: Queue(DEFAULT_QUEUE)}
        self._declared: set[str] = set()
        # Those that were declared outside of any package.
        self._given: set[str] = set()
        self._executors: dict[str, Executor] = {}
        self._packages_of: dict[str, str | None] = dict.fromkeys(BUILT_IN)
        self._inputs: dict[str, Signature | None] = {}
        # Why built-in kinds cannot run here, for those that were asked about.
        self._missing: dict[str, str] = {}
        self._names: tuple[str, ...] = (DEFAULT_QUEUE,)
        for queue in queues:
            self.define_queue(queue)
        for package in packages:
            self.add_package(package)

    # --- filling it ------------------------------------------------------------------------

    def add_package(self, package: Package, *, replace: bool = False) -> None:
        """Add a package's executors and queues, or raise InvalidPackage and add nothing.

        With `replace`, it replaces a package of the same name, whose kinds are removed.
        """
        if not isinstance(package, Package):
            raise InvalidPackage(f"packages: must hold Package(...), got {shown(package)}")
        before = self.packages.get(package.name)
        if before is package and not replace:
            return
        if before is not None and not replace:
            raise InvalidPackage(
                f"package {package.name!r} is registered twice; to give the new one the place of "
                "the other, register it with replace=True"
            )
        package.prepare()
        for executor in package.executors.values():
            self._check_free(executor.kind, package.name, replace=replace)
            self._check_pool(executor, package.defaults)
        for queue in package.queues:
            check_queue(queue)
            if not self._is_only_of(queue.name, before):
                self._check_limits(queue)
        self._take(package)

    def _take(self, package: Package) -> None:
        """Add a checked package. Work may go on meanwhile: no kind is ever missing."""
        self.packages[package.name] = package
        for queue in package.queues:
            self._declare(queue)
        kept = {executor.kind for executor in package.executors.values()}
        for executor in package.executors.values():
            self._executors[executor.kind] = executor
            self._packages_of[executor.kind] = package.name
            self._inputs.pop(executor.kind, None)
        for kind in [kind for kind, owner in self._packages_of.items() if owner == package.name]:
            if kind not in kept:
                del self._packages_of[kind], self._executors[kind]
                self._inputs.pop(kind, None)

    def _is_only_of(self, queue: str, package: Package | None) -> bool:
        """Whether no other package has declared a queue that this one has."""
        others = (each for each in self.packages.values() if each is not package)
        return (
            package is not None
            and any(each.name == queue for each in package.queues)
            and queue not in self._given
            and not any(each.name == queue for other in others for each in other.queues)
        )

    def register(self, executor: Executor) -> None:
        check_executor(executor)
        self._check_free(executor.kind, None)
        self._check_pool(executor, ENGINE_DEFAULTS)
        if isinstance(executor, ExecutorFunction):
            executor.signature.prepare()
        self._executors[executor.kind] = executor
        self._packages_of[executor.kind] = None

    def define_queue(self, queue: Queue) -> None:
        """Add a queue; adding it again with the same limits changes nothing.

        Raises InvalidPackage if it exists with other limits.
        """
        check_queue(queue)
        self._check_limits(queue)
        self._given.add(queue.name)
        self._declare(queue)

    def _declare(self, queue: Queue) -> None:
        self.queues[queue.name] = queue
        self._declared.add(queue.name)
        self._names = tuple(self.queues)

    def _check_free(self, kind: str, package: str | None, *, replace: bool = False) -> None:
        if kind not in self._packages_of or (replace and self._packages_of[kind] == package):
            return
        owner = "built in" if kind in BUILT_IN else _owner(self._packages_of[kind])
        raise InvalidPackage(
            f"executor {kind!r} is registered twice ({owner} and {_owner(package)})"
        )

    def _check_pool(self, executor: Executor, defaults: ExecutorOptions) -> None:
        pool = options_of(executor, defaults).pool
        if pool is not None:
            try:
                self._find_pool(pool)
            except NotFound as error:
                raise InvalidPackage(f"executor {executor.kind!r}.pool: {error}") from None

    def _check_limits(self, queue: Queue) -> None:
        if queue.name in self._declared and self.queues[queue.name] != queue:
            raise InvalidPackage(
                f"queue {queue.name!r} is declared twice with different limits: "
                f"{self.queues[queue.name]} and {queue}"
            )

    # --- reading it ------------------------------------------------------------------------

    def package(self, name: str) -> Package:
        """The package. Raises NotFound with the nearest name."""
        try:
            return self.packages[name]
        except KeyError:
            raise NotFound(f"there is no package {name!r}{nearest(name, self.packages)}") from None

    def executor(self, kind: str) -> Executor:
        executor = self._executors.get(kind)
        if executor is None:
            built_in = BUILT_IN.get(kind)
            if built_in is None:
                raise NotFound(f"there is no executor {kind!r}{nearest(kind, self._packages_of)}")
            loaded: Executor = getattr(getattr(executors, built_in.module), built_in.name)
            executor = self._executors[kind] = loaded
        return executor

    def options(self, kind: str) -> ExecutorOptions:
        if kind in BUILT_IN:
            return BUILT_IN[kind].options
        package = self._packages_of.get(kind)
        defaults = ENGINE_DEFAULTS if package is None else self.packages[package].defaults
        return options_of(self.executor(kind), defaults)

    def kinds(self) -> Sequence[str]:
        return tuple(kind for kind in tuple(self._packages_of) if not self._why_not_here(kind))

    def _why_not_here(self, kind: str) -> str:
        if kind not in BUILT_IN:
            return ""
        if kind not in self._missing:
            self._missing[kind] = missing_library(kind)
        return self._missing[kind]

    def queue_names(self) -> Sequence[str]:
        return self._names

    def package_of(self, kind: str) -> str | None:
        return self._packages_of.get(kind)

    def pool_name(self, kind: str) -> str:
        """The name of the pool that runs steps of a kind."""
        return self.options(kind).pool or pool_of(self.executor(kind))

    def encode_input(self, kind: str, value: Any, path: str, limit: int) -> str:
        try:
            signature = self._inputs[kind]
        except KeyError:
            if why := self._why_not_here(kind):
                raise InvalidInput(f"{path.removesuffix('.input')}: {why}") from None
            signature = self._inputs[kind] = signature_of(self.executor(kind))
        if signature is None:
            return encode(value, path, limit)
        return signature.encode_input(value, path, limit)


def _owner(package: str | None) -> str:
    return "no package" if package is None else f"package {package}"
