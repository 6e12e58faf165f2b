from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stepwell.composition import connect
from stepwell.engine.clock import SystemClock
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime
from stepwell.stores.opening import open_run_store
from tests.engine.worker.runtimes import Open
from tests.engine.worker.worker_by_hand import FlakyStore


@pytest.fixture
def package() -> Package:
    package = Package("p")

    @package.entrypoint
    def start(run: RunBuilder, kinds: list[str]) -> None:
        for number, kind in enumerate(kinds):
            run.step(kind, id=f"{kind}{number}")

    @package.executor("ok")
    def ok() -> str:
        return "ok"

    return package


@pytest.fixture
def open_runtime(package: Package) -> Iterator[Open]:
    opened: list[Runtime] = []

    def open_it(store: Any = "memory://", clock: Any = None, **settings: Any) -> Runtime:
        opened.append(connect(store, packages=[package], clock=clock, settings=settings))
        return opened[-1]

    yield open_it
    for runtime in opened:
        runtime.close()


@pytest.fixture
def flaky() -> Iterator[Any]:
    store = open_run_store("memory://", clock=SystemClock())
    yield FlakyStore(store)
    store.close()
