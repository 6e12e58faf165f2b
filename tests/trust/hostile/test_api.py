"""The programming interface under hostile values: an error of ours, and no half store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from stepwell import Runtime, StepwellError, connect
from stepwell.engine import errors
from tests.trust.hostile.fuzzed_package import acts, at_most, fuzzed, many, rows_of
from tests.trust.hostile.values import (
    NASTY_TEXTS,
    NASTY_VALUES,
    Cold,
    numbers,
    texts,
    values,
)

RIGHT = ["r1", "echo", "wait", "fuzzed", "go", "k", "start"]
names = st.sampled_from(RIGHT) | texts
mappings = st.none() | st.dictionaries(texts, values, max_size=3) | values
tags = st.lists(texts, max_size=3) | values


class Place:
    """A store, and all that is in it."""

    def __init__(self, url: str, runtime: Runtime) -> None:
        self.url = url
        self.runtime = runtime

    def rows(self) -> dict[str, list[Any]]:
        """Everything, but what is said of workers."""
        if self.url.startswith("sqlite"):
            return rows_of(Path(self.url.removeprefix("sqlite:///")))
        with psycopg.connect(self.url) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            ).fetchall()
            return {
                name: connection.execute(
                    SQL("SELECT * FROM {} ORDER BY 1").format(Identifier(name))
                ).fetchall()
                for (name,) in tables
                if name != "workers"
            }


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store with a run that waits for a message, and a key."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'engine.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    with connect(url, home=tmp_path, packages=[fuzzed]) as runtime:
        runtime.start_run("fuzzed", {"a": 1}, run_id="r1", entrypoint="start")
        runtime.kv.set("k", 1)
        while runtime.run_once().processed:
            pass
        yield Place(url, runtime)


def refused(
    place: Place,
    call: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, Any] | None = None,
) -> None:
    """Make the call: it is quick, and either works or is refused in one line, without a trace."""
    before = place.rows()
    refusal = None
    with at_most():
        try:
            call(*arguments, **(options or {}))
        except StepwellError as error:
            refusal = error
    if refusal is not None:
        assert len(str(refusal)) < 2_000
        assert str(refusal).isprintable(), str(refusal)
        assert place.rows() == before


# --- from outside --------------------------------------------------------------------------


def of(*strategies: st.SearchStrategy[Any], **options: st.SearchStrategy[Any]) -> Any:
    """Arguments by position and by name."""
    return st.tuples(st.tuples(*strategies), st.fixed_dictionaries(options))


some = st.none() | names
act_by = {"by": names, "reason": texts}
# What is called of a runtime, and with what.
CALLS: dict[str, tuple[str, Any]] = {
    "start_run input": ("start_run", of(st.just("fuzzed"), values, entrypoint=st.just("start"))),
    "start_run": (
        "start_run",
        of(names, values, entrypoint=names, run_id=some, name=some, metadata=mappings, tags=tags),
    ),
    "start_run labels": (
        "start_run",
        of(
            st.just("fuzzed"),
            values,
            entrypoint=st.just("start"),
            name=some,
            metadata=mappings,
            tags=tags,
        ),
    ),
    "send": ("send", of(names, names, values, key=st.none() | texts)),
    "kv.set": (
        "kv.set",
        of(
            names,
            values,
            expires_in=st.none() | st.floats() | numbers,
            version=st.none() | numbers,
        ),
    ),
    "kv.get": ("kv.get", of(names)),
    "kv.delete": ("kv.delete", of(names, version=st.none() | numbers)),
    "kv.list": ("kv.list", of(texts, after=texts, limit=numbers)),
    "cancel": ("cancel_run", of(texts, **act_by)),
    "pause": ("pause_run", of(texts, **act_by)),
    "resume": ("resume_run", of(texts, **act_by)),
    "hold": ("hold_step", of(names, texts, **act_by)),
    "release": ("release_step", of(names, texts, **act_by)),
    "retry_step": ("retry_step", of(names, names, **act_by)),
    "retry_run": ("retry_run", of(names, **act_by)),
    "approve": ("approve", of(names, names, by=names, comment=texts)),
    "reject": ("reject", of(names, names, by=names, comment=texts)),
    "run": ("run", of(names)),
    "runs": (
        "runs",
        of(package=some, name=some, tag=some, status=some, prefix=some, before=some, limit=numbers),
    ),
    "steps": ("steps", of(names, kind=some, status=some, limit=numbers)),
    "step": ("step", of(names, names)),
    "edges": ("edges", of(names)),
    "result": ("result", of(names, names)),
    "events": ("events", of(names, numbers, numbers)),
    "progress": ("progress", of(names)),
    "records": ("records", of(names, names)),
    "record": ("record", of(names, names, names)),
    "collections": ("collections", of(names)),
    "artifacts": ("artifacts", of(names, some)),
    "artifact": ("open_artifact", of(names)),
    "messages": ("messages", of(names, some)),
    "get_value": ("get_value", of(names, names)),
    "value_history": ("value_history", of(names, names)),
    "checkpoint": ("checkpoint", of(names, names)),
    "load_checkpoint": ("checkpointer.load_checkpoint", of(texts)),
    "delete_checkpoint": ("checkpointer.delete_checkpoint", of(texts)),
    "handle": ("handle", of(names)),
    "wait": ("wait", of(names, st.just(0))),
}


@pytest.mark.parametrize("name", CALLS)
def test_any_call(place: Place, scale: float, name: str) -> None:
    path, arguments = CALLS[name]
    call = attrgetter(path)(place.runtime)

    @many(10, scale)
    @given(arguments)
    def examine(given_arguments: Any) -> None:
        refused(place, call, *given_arguments)

    examine()


@pytest.mark.parametrize("option", ["entrypoint", "run_id", "name", "metadata", "tags"])
@pytest.mark.parametrize("value", [Cold(), NotImplemented, 10**5_000], ids=["cold", "odd", "huge"])
def test_options_that_refuse_to_be_looked_at(place: Place, option: str, value: Any) -> None:
    refused(place, place.runtime.start_run, ("fuzzed", 1), {"entrypoint": "start", option: value})


@pytest.mark.parametrize("number", range(0, len(NASTY_VALUES), 6))
def test_every_nasty_input(place: Place, number: int) -> None:
    runtime = place.runtime
    for value in NASTY_VALUES[number : number + 6]:
        refused(place, runtime.start_run, ("fuzzed", value), {"entrypoint": "start"})
        refused(place, runtime.send, ("r1", "topic", value))
        refused(place, runtime.kv.set, ("key", value))


# --- from inside a step --------------------------------------------------------------------

KNOWN = {
    kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")
}
# What a step calls of its context, and with what.
ACTS: dict[str, tuple[str, Any]] = {
    "result": ("result", of(values)),
    "record": ("record", of(names, names, values)),
    "emit": (
        "emit",
        of(
            st.sampled_from(["fuzzed.echo", "wait.sleep"]) | texts,
            values,
            id=some,
            after=st.lists(names, max_size=2),
            queue=some,
            dedup_key=st.none() | texts,
            metadata=mappings,
            priority=st.none() | numbers,
            timeout=st.none() | st.floats() | numbers,
        ),
    ),
    "emit input": ("emit", of(st.just("fuzzed.echo"), values)),
    "artifact": ("artifact", of(names, st.binary() | texts)),
    "set_value": ("set_value", of(names, values)),
    "do": ("do", of(names, values.map(lambda value: lambda: value))),
    "send": ("send", of(names, names, values)),
    "kv": ("kv.set", of(names, values)),
    "dependency": ("dependency", of(texts)),
    "child_run": ("internals.child_run", of(names, values, names)),
    "sleep": ("sleep", of(st.floats() | numbers)),
    "receive": ("receive", of(texts, timeout=st.floats() | numbers)),
}


@pytest.mark.parametrize("name", ACTS)
def test_any_act_of_a_step(place: Place, scale: float, name: str) -> None:
    path, arguments = ACTS[name]

    @many(5, scale)
    @given(arguments)
    def examine(given_arguments: Any) -> None:
        # given
        words, options = given_arguments
        acts[:] = [lambda step: attrgetter(path)(step)(*words, **options)]
        run = place.runtime.start_run("fuzzed", entrypoint="acting")

        # when
        with at_most():
            place.runtime.run_once()

        # then: the step beside it succeeded, and it did or failed with a reason of ours
        assert place.runtime.step(run.id, "beside").status == "succeeded"
        step = place.runtime.step(run.id, "act")
        if step.status == "failed":
            assert step.error is not None
            assert step.error.code in KNOWN, step.error
            assert len(step.error.message) <= 2_000
            assert [s.id for s in place.runtime.steps(run.id)] == ["act", "beside"]
            assert not place.runtime.artifacts(run.id)
        else:
            assert step.status in ("succeeded", "waiting")
        if not run.status().ended:
            place.runtime.cancel_run(run.id)

    examine()


def test_names_that_are_taken_are_given_back_as_they_are(place: Place) -> None:
    for text in NASTY_TEXTS:
        try:
            place.runtime.kv.set(text, {text: [text]})
        except StepwellError:
            continue
        assert place.runtime.kv.get(text) == {text: [text]}
