"""`connect()`: composes a runtime from URLs, packages and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import stepwell.stores as stores
from stepwell.defaults import DEFAULT_HOME, DEFAULT_STORE, MEMORY, VERSION
from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.errors import InvalidInput, NotFound, StoreError, shown
from stepwell.engine.events import Observers, log_event, wants_log
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.engine.package import Package
from stepwell.engine.ports import ArtifactStore, ProjectionStore, RunStore
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.services import Around
from stepwell.engine.settings import Settings
from stepwell.engine.step.around import check_around
from stepwell.engine.worker.pool_spec import PoolSpec
from stepwell.executors.pools.registered import RegisteredPools
from stepwell.executors.registry import Registry
from stepwell.stores.artifacts.opening import open_artifacts
from stepwell.stores.checkpoints.opening import check_url, open_checkpointer
from stepwell.stores.projections.opening import open_projections


def connect(  # noqa: PLR0913  # the public surface: one keyword for each part
    store_url: str | RunStore | None = None,
    *,
    packages: Sequence[Package] = (),
    home: str | os.PathLike[str] | None = None,
    artifacts: str | ArtifactStore | None = None,
    projections: str | ProjectionStore | None = None,
    checkpoints: str | Checkpointer | None = None,
    queues: Sequence[Queue] = (),
    pools: Sequence[PoolSpec] = (),
    around: Sequence[Around] = (),
    settings: Settings | Mapping[str, Any] | None = None,
    app: Any = None,
    clock: Clock | None = None,
) -> Runtime:
    """A runtime on a store, with packages.

    Args:
        store_url: `sqlite:///engine.db`, `memory://`, `postgresql://…`, or a store object.
            Default: `engine.db` in the home folder.
        packages: whose entrypoints, executors and queues are known.
        home: the folder for local files; default `.stepwell` in the working folder. It is made
            when needed.
        artifacts: `file:///folder` or `memory://`, or an object; default `artifacts` in home.
        projections: `file:///folder`, `memory://` or `postgresql://…`, or an object. Default: the
            database of a `postgresql://` store, else `projections` in home.
        checkpoints: where steps record their operations: `memory://`, `file:///folder`,
            `sqlite:///file.db` or `postgresql://…`, or an object. Default: in the store.
        queues: besides those of the packages.
        pools: besides the built-in ones and those that are installed.
        around: functions that take the `StepContext` and give a context manager, which is entered
            around each body; the first is the outermost.
        settings: `Settings(...)` or a mapping of its fields.
        app: any object; executors find it as `step.app`.
        clock: for tests.

    Raises:
        InvalidInput: for a URL, package, queue, pool, wrapper or setting that cannot be.
        StoreError: when the store cannot be opened, is newer than this code, or is not a store.
    """
    chosen = settings if isinstance(settings, Settings) else Settings.of(settings or {})
    clock = clock or SystemClock()
    observers = _logging_observers()
    folder = Path(home if home is not None else DEFAULT_HOME)
    in_memory = store_url == MEMORY and home is None
    # What cannot be is refused before anything is made.
    wrappers = check_around(around)
    if isinstance(checkpoints, str):
        check_url(checkpoints)
    found = RegisteredPools(pools)
    registry = Registry(queues=queues, find_pool=found.find)
    artifact_store = _artifacts(artifacts, folder, in_memory)
    if isinstance(projections, str):
        projections = open_projections(projections, durability=chosen.durability, clock=clock)
    with ExitStack() as on_failure:
        store = _store(store_url, folder, clock, chosen, observers)
        on_failure.callback(store.close)
        # After the store, whose URL they may share: what is wrong with it is told as the store's.
        if projections is None:
            projections = _projections(store_url, folder, in_memory, chosen, clock)
        checkpointer, close_it = _checkpoints(checkpoints, clock)
        on_failure.callback(close_it)
        runtime = Runtime(
            RuntimeParts(
                store=store,
                catalog=registry,
                artifacts=artifact_store,
                projections=projections,
                settings=chosen,
                clock=clock,
                observers=observers,
                find_pool=found.find,
                checkpoints=checkpointer,
                on_close=close_it,
                app=app,
                around=wrappers,
                home=None if in_memory else str(folder),
                version=VERSION,
            )
        )
        _define_queues(store, queues)
        for package in packages:
            runtime.register_package(package)
        on_failure.pop_all()
    return runtime


def _logging_observers() -> Observers:
    observers = Observers()
    observers.subscribe(log_event, wants_log)
    return observers


def _store(
    given: str | RunStore | None,
    home: Path,
    clock: Clock,
    settings: Settings,
    observers: Observers,
) -> RunStore:
    if given is None:
        make_home(home)
        given = f"sqlite:///{home / DEFAULT_STORE}"
    if not isinstance(given, str):
        return given
    opened: RunStore = stores.opening.open_run_store(
        given, clock=clock, durability=settings.durability, observers=observers
    )
    return opened


def _checkpoints(
    given: str | Checkpointer | None, clock: Clock
) -> tuple[Checkpointer | None, Callable[[], object]]:
    """The checkpointer, if it is not the store's, and how to close what was opened here."""
    if isinstance(given, str):
        opened = open_checkpointer(given, clock=clock)
        return opened, opened.close
    for name in ("save_checkpoint", "load_checkpoint", "delete_checkpoint"):
        if given is not None and not callable(getattr(given, name, None)):
            raise InvalidInput(
                f"checkpoints: must be a URL or a checkpointer, got {shown(given)}, which has no "
                f"method {name}"
            )
    return given, lambda: None


def _define_queues(store: RunStore, queues: Sequence[Queue]) -> None:
    """Store the limits given; the default queue keeps those that somebody else gave it."""
    try:
        store.check_queues([DEFAULT_QUEUE])
    except NotFound:
        store.define_queues([Queue(DEFAULT_QUEUE)])
    store.define_queues(list(queues))


def make_home(folder: Path) -> None:
    """Make the folder of a store to come, durably. Raises StoreError."""
    try:
        if not (folder / DEFAULT_STORE).exists():
            stores.artifact_files.make_folder(folder)
    except OSError as error:
        raise StoreError(
            f"home {str(folder)!r}: cannot make the folder: {error.strerror}"
        ) from None


def _artifacts(given: str | ArtifactStore | None, home: Path, in_memory: bool) -> ArtifactStore:
    if isinstance(given, str):
        return open_artifacts(given)
    if given is not None:
        return given
    if in_memory:
        return open_artifacts(MEMORY)
    made: ArtifactStore = stores.artifact_files.FileArtifactStore(home / "artifacts")
    return made


def _projections(
    store_url: str | RunStore | None,
    home: Path,
    in_memory: bool,
    settings: Settings,
    clock: Clock,
) -> ProjectionStore:
    """Where projections are kept if nothing else is said."""
    if isinstance(store_url, str) and _is_postgres(store_url):
        return open_projections(store_url, durability=settings.durability, clock=clock)
    made: ProjectionStore = stores.sqlite_projections.SqliteProjectionStore(
        None if in_memory else home / "projections", durability=settings.durability, clock=clock
    )
    return made


def _is_postgres(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))
