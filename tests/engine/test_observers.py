"""Observers of some types of events only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stepwell import Event, EventType, InvalidInput, Package, RunBuilder, Runtime, connect
from stepwell.stores.sql.roles.writer import Writer

package = Package("p")
package.executor("k", pool="inline")(lambda: 1)


@package.entrypoint
def start(run: RunBuilder) -> None:
    run.step("k", id="s")


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with connect("memory://", packages=[package]) as runtime:
        yield runtime


@pytest.fixture
def read_back(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The types of the events that the store reads back for observers."""
    types: list[str] = []
    named = Writer._named

    def watched(self: Writer, stored: list[Any]) -> list[Event]:
        events = named(self, stored)
        types.extend(event.type for event in events)
        return events

    monkeypatch.setattr(Writer, "_named", watched)
    return types


def work(runtime: Runtime) -> None:
    run = runtime.start_run("p")
    runtime.drain(run.id, timeout=60)


def test_an_observer_gets_the_types_it_asks_for(runtime: Runtime) -> None:
    seen: list[str] = []

    runtime.observe(lambda event: seen.append(event.type), types=["step.succeeded", "run.created"])
    runtime.observe(lambda event: seen.append(f"live {event.type}"), [EventType.STEP_STARTED])
    work(runtime)

    assert seen == ["run.created", "live step.started", "step.succeeded"]


def test_what_nobody_wants_is_not_read_back(runtime: Runtime, read_back: list[str]) -> None:
    stop = runtime.observe(lambda event: None, types=["run.succeeded"])
    work(runtime)
    assert read_back == ["run.succeeded"]

    stop()
    work(runtime)
    assert read_back == ["run.succeeded"]


def test_all_types_are_meant_where_none_are_named(runtime: Runtime, read_back: list[str]) -> None:
    runtime.observe(lambda event: None)

    work(runtime)

    assert read_back == [
        *("run.created", "run.started", "step.succeeded", "run.succeeded"),
    ]


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (["step.suceeded"], "types: there is no event 'step.suceeded'; did you mean 'step.succee"),
        ([3], "types: there is no event 3"),
        ("run.created", "types: must be a list of event types, got 'run.created'"),
    ],
)
def test_a_type_that_there_is_not_is_refused(runtime: Runtime, types: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        runtime.observe(lambda event: None, types)
