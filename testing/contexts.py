"""A real step context for unit tests of an executor's function, and everything made through it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

import pytest

from stepwell.engine.checkpoints.checkpoint import Operation
from stepwell.engine.errors import InvalidInput, nearest, shown
from stepwell.engine.exchange import ClaimedStep, NewArtifact, Wait
from stepwell.engine.ids import artifact_id
from stepwell.engine.package import Package
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.ports import Executor
from stepwell.engine.step.context import StepContext
from stepwell.testing.builders import (
    KIND,
    claim_request,
    completed,
    new_artifact,
    new_run,
    new_step,
)
from stepwell.testing.virtual import VirtualJournal, VirtualRuntime, nowhere, virtual_runtime

RUN_ID = "run"
STEP_ID = "step"
TESTED = "tested"


@dataclass(frozen=True, slots=True)
class Emitted:
    """A step that was emitted: its kind, its input as plain JSON, and what it depends on."""

    kind: str
    input: Any
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent."""

    run_id: str
    topic: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Made:
    """Everything made through a context, as plain values.

    `records` by collection and key, `artifacts` (their bytes) by name, `emitted` by step id,
    `operations` (their recorded values) by operation id. `result` is what `step.result()` set.
    """

    records: Mapping[str, Mapping[str, Any]]
    artifacts: Mapping[str, bytes]
    emitted: Mapping[str, Emitted]
    sent: Sequence[Sent]
    operations: Mapping[str, Any]
    result: Any


class StepUnderTest(StepContext):
    """A step context over a store in memory. Waits pass at once, in virtual time.

    A wait for a message needs one in `messages`; a wait that nothing can end fails the test.
    """

    def __init__(self, runtime: VirtualRuntime, claimed: ClaimedStep) -> None:
        super().__init__(claimed, "test", runtime.internals.services)
        self.internals.make_journal = partial(PassingJournal, clock=runtime.clock, reach=nowhere)
        self.runtime = runtime
        self.dispose = weakref.finalize(self, runtime.close)

    @property
    def made(self) -> Made:
        """Everything made so far. Raises InvalidGraph for an invalid emission."""
        made_records, artifacts, emitted, messages = self.internals.made()
        records: dict[str, dict[str, Any]] = {}
        for record in made_records:
            records.setdefault(record.collection, {})[record.key] = decode(record.value)
        return Made(
            records=records,
            artifacts={
                artifact.name: self._bytes(artifact.body, artifact.sha256) for artifact in artifacts
            },
            emitted={
                step.id: Emitted(
                    step.kind, decode(step.input), tuple(edge.target for edge in step.edges)
                )
                for step in emitted
            },
            sent=[
                Sent(message.run_id, message.topic, decode(message.payload)) for message in messages
            ],
            operations=self._operations(),
            result=self.internals.returned,
        )

    def _operations(self) -> dict[str, Any]:
        durable = self.internals.durable
        if durable is None:
            return {}
        assert isinstance(durable.journal, PassingJournal)
        return {operation.id: operation.value for operation in durable.journal.ended.values()}

    def _bytes(self, body: bytes | None, sha256: str) -> bytes:
        if body is not None:
            return body
        with self.internals.services.artifacts.open(sha256) as stream:
            return stream.read()


class PassingJournal(VirtualJournal):
    """Lets the time of a wait pass instead of unwinding the execution."""

    ended: Mapping[str, Operation] = MappingProxyType({})

    def keep(self, operation: Operation, *, decision: bool = False) -> None:
        self.ended = {**self.ended, operation.id: operation}
        super().keep(operation, decision=decision)

    def suspend(self, wait: Wait) -> None:
        if wait.until is None:
            what = f"a message on topic {wait.topic!r}" if wait.topic else f"a {wait.kind}"
            if wait.several is not None:
                what = f"{wait.kind} of {len(wait.several.waits)} waits"
            pytest.fail(
                f"step.{wait.operation or wait.kind}: waits for {what}, and nothing can end that "
                "in a unit test: give step_context(messages=…), or test a run with "
                "stepwell_runtime"
            )
        left = wait.until - self.services.now()
        self.clock.advance(timedelta(microseconds=max(0, left)))


class ContextOptions(TypedDict, total=False):
    """What `step_context` takes besides the input.

    `dependencies`: the results of the step's dependencies, by step id. `kinds`: the executors of
    those steps, by step id, for `step.dependencies(executor)`. `attempt`: from 1. `package`: its
    executors can be emitted. `messages`: what `step.receive` returns, as (topic, payload).
    `artifacts`: what the step can open: bytes or text by id, or by (step, name) for an artifact
    of one of its `dependencies`. `app`: the value of `step.app`.
    """

    dependencies: Mapping[str, Any]
    kinds: Mapping[str, Executor | str]
    attempt: int
    package: Package
    messages: Sequence[tuple[str, Any]]
    artifacts: Mapping[str | tuple[str, str], bytes | str]
    app: Any


def step_context(input: Any = None, **options: Unpack[ContextOptions]) -> StepUnderTest:
    """A context for calling an executor's function: `price(step_context(), Line(item="pen"))`.

    `input` is the value of `step.input`; the typed input is the function's own argument. Raises
    InvalidInput for an invalid option.
    """
    unknown = options.keys() - ContextOptions.__annotations__.keys()
    if unknown:
        name = min(unknown)
        raise InvalidInput(
            f"step_context: unknown option {name!r}{nearest(name, ContextOptions.__annotations__)}"
        )
    attempt = options.get("attempt", 1)
    if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1:
        raise InvalidInput(f"step_context.attempt: must be a whole number from 1, got {attempt!r}")
    package = options.get("package")
    runtime = virtual_runtime(*([] if package is None else [package]), app=options.get("app"))
    try:
        claimed = _claimed(runtime, input, options)
        for topic, payload in options.get("messages", ()):
            runtime.send(RUN_ID, topic, payload)
        return StepUnderTest(runtime, replace(claimed, attempt=attempt, failures=attempt - 1))
    except BaseException:
        runtime.close()
        raise


def _claimed(runtime: VirtualRuntime, input: Any, options: ContextOptions) -> ClaimedStep:
    """A step of a stored run, claimed after its dependencies have succeeded."""
    store, given = runtime.internals.store, options.get("package")
    dependencies, kinds = options.get("dependencies", {}), options.get("kinds", {})
    package = "tests" if given is None else given.name
    names = {step_id: _kind(kinds.get(step_id, KIND)) for step_id in dependencies}
    steps = [new_step(step_id, kind=kind, package=package) for step_id, kind in names.items()]
    text = encode(input, "input", runtime.settings.payload_limit)
    tested = new_step(STEP_ID, *dependencies, kind=TESTED, package=package, input=text)
    store.create_run(new_run(RUN_ID, *steps, tested, package=package))
    before = store.exchange([], claim_request(len(steps) or 1, kinds=(*names.values(), KIND)))
    made = _artifacts(options.get("artifacts", {}), dependencies)
    done = [
        completed(step, dependencies[step.id], artifacts=tuple(made.pop(step.id, ())))
        for step in before.claimed
    ]
    _give(runtime, made.pop("", []))
    (claimed,) = store.exchange(done, claim_request(1, kinds=(TESTED,))).claimed
    return claimed


def _artifacts(
    given: Mapping[str | tuple[str, str], bytes | str], dependencies: Mapping[str, Any]
) -> dict[str, list[NewArtifact]]:
    """The artifacts by the step that made them; "" has those of another run."""
    made: dict[str, list[NewArtifact]] = {}
    for key, data in given.items():
        if not isinstance(data, (bytes, str)):
            raise InvalidInput(
                f"step_context.artifacts[{key!r}]: must be bytes or text, got {shown(data)}"
            )
        body = data.encode() if isinstance(data, str) else data
        if isinstance(key, str):
            made.setdefault("", []).append(new_artifact(key, body))
            continue
        step_id, name = key
        if step_id not in dependencies:
            raise InvalidInput(
                f"step_context.artifacts[{key!r}]: {step_id!r} is none of the dependencies"
                f"{nearest(step_id, dependencies)}"
            )
        own = new_artifact(artifact_id(RUN_ID, step_id, name), body, name=name)
        made.setdefault(step_id, []).append(own)
    return made


def _give(runtime: VirtualRuntime, made: Sequence[NewArtifact]) -> None:
    """Store artifacts of another run."""
    if not made:
        return
    store = runtime.internals.store
    store.create_run(new_run("given", new_step("given")))
    (claimed,) = store.exchange([], claim_request(1)).claimed
    store.exchange([completed(claimed, artifacts=tuple(made))], None)


def _kind(executor: Executor | str) -> str:
    return executor if isinstance(executor, str) else executor.kind
