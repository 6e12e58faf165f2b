"""Pools beside the built-in ones: given to `connect()`, or installed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepwell import (
    InvalidInput,
    InvalidPackage,
    NotFound,
    Package,
    Pool,
    PoolParts,
    PoolSpec,
    RunBuilder,
    Runtime,
    Task,
    connect,
    perform,
)
from stepwell.engine.settings import Settings
from stepwell.executors.pools import BUILT_IN
from stepwell.executors.pools.registered import RegisteredPools

PATIENCE = 60


def name_of_thread() -> str:
    return threading.current_thread().name


def package_with(pool: str, body: Callable[[], Any] = name_of_thread) -> Package:
    package = Package("p")
    package.executor("k", pool=pool)(body)

    @package.entrypoint
    def start(run: RunBuilder, steps: int = 1) -> None:
        for number in range(steps):
            run.step("k", id=f"k{number}")

    return package


class RecordingPool:
    """Runs steps where they are submitted, and writes down what it is told."""

    def __init__(self, parts: PoolParts, told: list[str]) -> None:
        self.size = parts.size
        self._deliver = parts.deliver
        self._told = told

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._told.append(f"run {task.step.id}")
            outcome = perform(task)
            if outcome is not None:
                self._deliver(task, outcome)

    def cancel(self, task: Task) -> None:
        task.cancel()

    def shutdown(self, grace: float) -> None:
        self._told.append(f"shut down within {grace:g} s")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def make(told: list[str]) -> Callable[[PoolParts], Pool]:
    def make(parts: PoolParts) -> Pool:
        told.append(f"made with {parts.size} slots")
        return RecordingPool(parts, told)

    return make


@pytest.fixture
def run_steps() -> Iterator[Callable[..., Any]]:
    opened: list[Runtime] = []

    def run(package: Package, steps: int = 1, **options: Any) -> Any:
        opened.append(connect("memory://", packages=[package], **options))
        run = opened[-1].start_run("p", steps)
        opened[-1].drain(run.id, timeout=PATIENCE)
        return opened[-1].result(run.id, "k0").value

    yield run
    for runtime in opened:
        runtime.close()


def test_a_pool_of_ones_own_is_made_once_for_a_worker_and_told_to_end(
    run_steps: Callable[..., Any], make: Callable[[PoolParts], Pool], told: list[str]
) -> None:
    value = run_steps(package_with("own", lambda: "done"), 2, pools=[PoolSpec("own", 5, make)])

    assert value == "done"
    assert told == ["made with 5 slots", "run k0", "run k1", "shut down within 0.5 s"]


def test_one_that_can_kill_has_the_time_for_it(
    run_steps: Callable[..., Any], make: Callable[[PoolParts], Pool], told: list[str]
) -> None:
    spec = PoolSpec("own", 1, make, killable=True)

    run_steps(package_with("own"), pools=[spec], settings={"kill_grace": 7})

    assert told[-1] == "shut down within 7 s"


def test_size_can_come_from_the_settings(
    run_steps: Callable[..., Any], make: Callable[[PoolParts], Pool], told: list[str]
) -> None:
    spec = PoolSpec("own", lambda settings: settings.threads + 1, make)

    run_steps(package_with("own"), pools=[spec], settings={"threads": 3})

    assert told[0] == "made with 4 slots"


def test_another_pool_of_a_built_in_kind_has_slots_of_its_own(
    run_steps: Callable[..., Any],
) -> None:
    # given two steps that are only done when they run side by side
    meeting = threading.Barrier(2)

    def meet() -> str:
        meeting.wait(PATIENCE)
        return threading.current_thread().name

    # when the threads of the setting are too few for that
    specs = [PoolSpec("reports", 2, "thread")]
    name = run_steps(package_with("reports", meet), 2, pools=specs, settings={"threads": 1})

    # then
    assert name.startswith("stepwell-thread")


def test_built_in_pools_have_the_sizes_of_their_settings() -> None:
    settings = Settings(threads=3, tasks=4, processes=5)

    sizes = {spec.name: spec.slots(settings) for spec in BUILT_IN}

    assert sizes == {"inline": 1, "thread": 3, "asyncio": 4, "process": 5}


def test_a_wrong_name_is_refused_with_the_nearest_when_the_package_is_registered() -> None:
    with pytest.raises(
        InvalidPackage, match=r"'k'\.pool: unknown pool 'threads'; did you mean 'thread'"
    ):
        connect("memory://", packages=[package_with("threads")])
    with pytest.raises(InvalidPackage, match="did you mean 'reports'"):
        connect(
            "memory://",
            packages=[package_with("report")],
            pools=[PoolSpec("reports", 1, "thread")],
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: PoolSpec("No", 1, "thread"), "pool.name: must be 1 to 50 characters"),
        (lambda: PoolSpec("own", 0, "thread"), "pool 'own'.size: must be a whole number"),
        (lambda: PoolSpec("own", True, "thread"), "pool 'own'.size: must be a whole number"),
        (lambda: PoolSpec("own", 1, 7), "pool 'own'.make: must be a function"),  # type: ignore[arg-type]  # refused
        (lambda: PoolSpec("own", 1, "threat"), "no built-in pool 'threat'; did you mean 'thread'"),
        (lambda: PoolSpec("thread", 1, "thread"), "there is a pool 'thread' already"),
        (lambda: "thread", r"pools: must hold PoolSpec\(...\), got 'thread'"),
    ],
)
def test_what_is_no_pool_is_refused(given: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        connect("memory://", pools=[given()])


class Installing:
    """Installs distributions with one entry point each."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        monkeypatch.syspath_prepend(str(folder))

    def __call__(self, pool: str, program: str) -> None:
        module = f"{pool}_{self._folder.name}"  # no other test has imported it
        (self._folder / f"{module}.py").write_text(program)
        metadata = self._folder / f"{module}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {module}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[stepwell.pools]\n{pool} = {module}:pool\n")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installing:
    return Installing(tmp_path, monkeypatch)


def test_an_installed_pool_is_found_by_its_name(
    install: Installing, run_steps: Callable[..., Any]
) -> None:
    install("gpu", "import stepwell\npool = stepwell.PoolSpec('gpu', 1, 'inline')")

    name = run_steps(package_with("gpu"))

    assert name == threading.current_thread().name


def test_a_broken_one_harms_nobody_who_does_not_name_it(
    install: Installing, run_steps: Callable[..., Any]
) -> None:
    install("gpu", "raise ImportError('no driver')")

    assert run_steps(package_with("thread"))
    with pytest.raises(InvalidInput, match=r"pool 'gpu'.* cannot be loaded: .*no driver"):
        RegisteredPools().find("gpu")
    with pytest.raises(NotFound, match=r"'gpus'; did you mean 'gpu'"):
        RegisteredPools().find("gpus")


def test_one_of_another_name_is_refused(install: Installing) -> None:
    install("gpu", "import stepwell\npool = stepwell.PoolSpec('cpu', 1, 'inline')")

    with pytest.raises(InvalidInput, match="must be a PoolSpec of this name"):
        RegisteredPools().find("gpu")
