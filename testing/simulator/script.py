"""What happens in a simulated world besides faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be started, and messages to send it: (topic, payload)."""

    package: Any
    input: Any
    run_id: str
    entrypoint: str | None = None
    send: Sequence[tuple[str, Any]] = ()
    may_cancel: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """What happens in a world besides faults.

    `check(runtime)` is called when everything has ended, and may raise AssertionError.
    `during(runtime, run_id)` is called now and then for each run in which a step waits. With
    `retries`, the operator also retries failed runs.
    """

    packages: Sequence[Package]
    starts: Sequence[Start]
    settings: Mapping[str, Any] = field(default_factory=dict)
    app: Any = None
    check: Callable[[Runtime], object] | None = None
    during: Callable[[Runtime, str], object] | None = None
    retries: bool = False
