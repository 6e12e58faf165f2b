"""The values of the fixtures of `pytest_stepwell`; loaded when one of them is first used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Unpack

from stepwell.engine.package import Package, Workflow
from stepwell.testing.contexts import ContextOptions, StepUnderTest, step_context
from stepwell.testing.crashes import CrashOptions, Survived, crash_everywhere
from stepwell.testing.virtual import VirtualRuntime, virtual_runtime


class MakeRuntime(Protocol):
    """The fixture `stepwell_runtime`; what it made is closed when the test ends."""

    def __call__(self, *packages: Package, **options: Any) -> VirtualRuntime: ...


class MakeContext(Protocol):
    """The fixture `step_context`; what it made is closed when the test ends."""

    def __call__(self, input: Any = None, **options: Unpack[ContextOptions]) -> StepUnderTest: ...


class CrashEverywhere(Protocol):
    """The fixture `crash_everywhere`, which keeps the store of a run that failed."""

    def __call__(
        self,
        package: Package | Workflow[Any, Any],
        input: Any = None,
        **options: Unpack[CrashOptions],
    ) -> Survived: ...


@contextmanager
def runtimes() -> Iterator[MakeRuntime]:
    """Makes runtimes, and closes them at the end."""
    with ExitStack() as opened:

        def make(*packages: Package, **options: Any) -> VirtualRuntime:
            runtime = virtual_runtime(*packages, **options)
            opened.callback(runtime.close)
            return runtime

        yield make


@contextmanager
def contexts() -> Iterator[MakeContext]:
    """Makes contexts, and closes their runtimes at the end."""
    with ExitStack() as opened:

        def make(input: Any = None, **options: Unpack[ContextOptions]) -> StepUnderTest:
            context = step_context(input, **options)
            opened.callback(context.dispose)
            return context

        yield make


def crashing(folder: Path) -> CrashEverywhere:
    """`crash_everywhere` with its stores in `folder`."""
    return partial(crash_everywhere, folder=folder)
