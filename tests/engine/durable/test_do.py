"""`step.do`: once, recorded, replayed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import InvalidInput, Permanent, Retry, StepContext, StepError
from stepwell.engine.durable.replay import digest
from tests.engine.durable.workflow_harness import WorkflowHarness


class Deployed(BaseModel):
    version: int
    after: timedelta = timedelta(seconds=1)


class Declined(Permanent):
    """An author's own error."""


class Odd(Exception):
    """One whose code cannot run again."""

    def __init__(self, response: dict[str, int]) -> None:
        super().__init__(f"status {response['status']}")
        self.response = response


def test_recorded_value_is_returned_and_typed_on_every_execution(harness: WorkflowHarness) -> None:
    seen: list[Any] = []

    def deploy(version: int) -> Deployed:
        harness.note("deploy")
        return Deployed(version=version, after=timedelta(seconds=90))

    def plain(version: int):  # type: ignore[no-untyped-def]  # no annotation is the case
        return (Deployed(version=version),)

    def flow(step: StepContext) -> None:
        seen.append(step.do("deploy", deploy, 1))
        seen.append(step.do("plain", plain, version=2))
        step.sleep(1)

    harness.go(flow)
    harness.pass_time(1)

    typed, untyped = (
        Deployed(version=1, after=timedelta(seconds=90)),
        [{"version": 2, "after": "PT1S"}],
    )
    assert seen == [typed, untyped, typed, untyped]
    assert harness.ran == {"deploy": 1}
    recorded = harness.operations["deploy"]
    assert (recorded.kind, recorded.attempts, recorded.value["version"]) == ("do", 1, 1)
    assert recorded.started == recorded.ended == harness.checkpoint.start_time
    assert harness.checkpoint.status == "completed"


def test_occurrences_and_keys_tell_operations_of_one_name_apart(harness: WorkflowHarness) -> None:
    def flow(step: StepContext) -> list[Any]:
        values = [step.do("get", harness.note, "get", n) for n in range(3)]
        values += [step.do("put", harness.note, "put", k, key=k) for k in "ba"]
        step.sleep(1)
        return values

    harness.go(flow)
    harness.pass_time(1)

    assert harness.value == [0, 1, 2, "b", "a"]
    assert harness.ran == {"get": 3, "put": 2}
    assert list(harness.operations) == ["get", "get#2", "get#3", "put[b]", "put[a]", "sleep"]


def test_keyed_operations_may_change_their_order(harness: WorkflowHarness) -> None:
    order = ["a", "b"]

    def flow(step: StepContext) -> list[Any]:
        values = [step.do("put", harness.note, "put", k, key=k) for k in order]
        step.sleep(1)
        return values

    harness.go(flow)
    order.reverse()
    harness.pass_time(1)

    assert (harness.value, harness.ran["put"]) == (["b", "a"], 2)


def test_without_checkpoint_it_runs_each_time_and_may_give_anything(
    harness: WorkflowHarness,
) -> None:
    def use(client: object) -> int:
        return harness.note("use", 7)  # type: ignore[no-any-return]

    def flow(step: StepContext) -> int:
        connection = step.do("connect", harness.note, "connect", object(), checkpoint=False)
        value = step.do("use", use, connection)
        step.sleep(1)
        return value

    harness.go(flow)
    harness.pass_time(1)

    assert harness.value == 7
    assert harness.ran == {"connect": 2, "use": 1}
    assert "connect" not in harness.operations


def test_failure_that_the_body_catches_is_replayed(harness: WorkflowHarness) -> None:
    caught: list[str] = []

    def fail(kind: str) -> None:
        harness.note(kind)
        match kind:
            case "own":
                raise Declined("no_funds", "not enough", details={"missing": 3})
            case "odd":
                raise Odd({"status": 500})
            case _:
                raise FileNotFoundError(2, "no such file")

    def flow(step: StepContext) -> None:
        for kind, expected in (("own", Declined), ("odd", Odd), ("io", FileNotFoundError)):
            try:
                step.do(kind, fail, kind)
            except expected as error:
                details = error.details if isinstance(error, Declined) else None
                caught.append(f"{type(error).__name__} {error} {details}")
        step.sleep(1)

    harness.go(flow)
    step = harness.pass_time(1)

    assert step.status == "succeeded", harness.error
    assert caught[:3] == caught[3:]
    assert caught[0] == "Declined not enough {'missing': 3}"
    assert set(harness.ran.values()) == {1}


def test_failure_of_an_unknown_class_becomes_a_step_error(harness: WorkflowHarness) -> None:
    errors: list[StepError] = []

    def fail() -> None:
        class Gone(Exception):
            pass

        Gone.__qualname__ = "Vanished" if harness.ran["first"] else "Gone"
        raise Gone("bye")

    def flow(step: StepContext) -> None:
        try:
            step.do("fail", fail)
        except StepError as error:
            errors.append(error)
        except Exception:
            harness.note("first")
        step.sleep(1)

    harness.go(flow)
    harness.there.checkpointer.atomic_update(  # type: ignore[attr-defined]
        f"{harness.run_id}/flow",
        lambda checkpoint: setattr(checkpoint.operations[0].error, "type", "os.system"),
    )
    harness.pass_time(1)

    assert [(error.code, str(error)) for error in errors] == [("Gone", "bye")]


def test_failure_that_ends_the_attempt_is_tried_again(harness: WorkflowHarness) -> None:
    def fail_once() -> str:
        if harness.note("pay") or harness.ran["pay"] == 1:
            raise ConnectionError("down")
        return "paid"

    def flow(step: StepContext) -> str:
        step.do("before", harness.note, "before")
        try:
            return step.do("pay", fail_once)
        except ConnectionError as error:
            raise RuntimeError("cannot go on") from error

    step = harness.go(flow, retry=Retry(max_attempts=2, initial=5, jitter=0))
    assert (step.status, harness.operations["pay"].open) == ("ready", True)
    harness.pass_time(5)

    assert harness.value == "paid"
    assert harness.ran == {"before": 1, "pay": 2}
    assert (harness.operations["pay"].attempts, harness.operations["pay"].error) == (2, None)


def test_a_caught_failure_stays_when_a_later_one_ends_the_attempt(harness: WorkflowHarness) -> None:
    def fail(name: str) -> None:
        harness.note(name)
        if name == "pay" or harness.ran[name] == 1:
            raise ValueError(name)

    def flow(step: StepContext) -> str:
        try:
            step.do("pay", fail, "pay")
        except ValueError:
            step.do("refund", fail, "refund")
        return "refunded"

    harness.go(flow, retry=Retry(max_attempts=2, initial=0, jitter=0))
    harness.execute()

    assert harness.value == "refunded"
    assert harness.ran == {"pay": 1, "refund": 2}


def test_what_was_decided_is_saved_before_the_next_function_runs(harness: WorkflowHarness) -> None:
    seen: list[list[str]] = []

    def fail() -> None:
        raise ValueError

    def look() -> None:
        seen.append([f"{o.id} {o.error.code if o.error else o.value}" for o in recorded()])

    def recorded() -> list[Any]:
        return harness.checkpoint.operations

    def flow(step: StepContext) -> None:
        try:
            step.do("fail", fail)
        except ValueError:
            step.do("look", look)
        step.receive("t", timeout=0, default=None)
        step.get_value(step.run.id, "v")
        step.do("look", look)
        step.sleep(0)
        step.do("look", look)

    harness.go(flow)

    first = ["fail ValueError"]
    second = [*first, "look None", "receive wait_timeout", "get_value no_value"]
    assert seen == [first, second, [*second, "look#2 None"]]


def test_retry_within_the_operation_counts_its_attempts(harness: WorkflowHarness) -> None:
    def shaky() -> int:
        harness.note("shaky")
        if harness.ran["shaky"] < 3:
            raise TimeoutError
        return harness.ran["shaky"]

    def flow(step: StepContext) -> int:
        return step.do("shaky", shaky, retry=Retry(max_attempts=5, initial=0, jitter=0))

    harness.go(flow)

    assert harness.value == 3
    assert harness.operations["shaky"].attempts == 3
    assert harness.step.attempt == 1


def test_retry_ends_with_the_policy(harness: WorkflowHarness) -> None:
    def never() -> None:
        harness.note("never")
        raise TimeoutError("never")

    def flow(step: StepContext) -> None:
        step.do("never", never, retry=Retry(max_attempts=2, initial=0, retry_on=TimeoutError))

    harness.go(flow)

    assert harness.step.status == "failed"
    assert (harness.ran["never"], harness.operations["never"].attempts) == (2, 2)
    assert harness.checkpoint.status == "failed"
    assert harness.checkpoint.error is not None
    assert harness.checkpoint.error.message == "never"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda step: step.do("x", lambda: {"a": [1, {2}]}), "the value.a[1]: a set is not JSON"),
        (lambda step: step.do("x", 3), "needs a function, got 3"),
        (lambda step: step.do("", len, "x"), "name: must have 1 to"),
        (lambda step: step.do("x#2", len, "x"), "looks like the id of a repeated"),
        (lambda step: step.do("x[a]", len, "x"), "looks like the id of a repeated"),
        (lambda step: step.do("x[a", len, "x", key="b"), "looks like the id of a repeated"),
        (lambda step: step.do("x", len, "x", key=""), "key: must have 1 to"),
        (lambda step: step.do("x", len, "x", retry=3), "retry: must be a Retry"),
        (
            lambda step: (step.do("x", len, "x"), step.do("x", max, [1])),
            "'x' is used for builtins.len already, and now for builtins.max",
        ),
        (lambda step: (step.do("sleep", len, "x"), step.sleep(0)), "and now for step.sleep"),
        (
            lambda step: (step.do("x", len, "x", key="k"), step.do("x", len, "x", key="k")),
            "key 'k' was given twice",
        ),
        (lambda step: step.do("x", _later), "is a coroutine function; call it from a coroutine"),
        (lambda step: step.do("x", lambda n: _later(), 1), "returned an awaitable"),
        (lambda step: step.variables.update(a={1}) or step.do("x", len, "x"), "step.variables.a"),
    ],
)
def test_bad_input_is_refused(harness: WorkflowHarness, call: Any, expected: str) -> None:
    def flow(step: StepContext) -> None:
        call(step)

    step = harness.go(flow)

    assert step.status == "failed"
    assert expected in harness.error


async def _later() -> int:
    return 1


def test_a_value_that_does_not_fit_its_annotation_is_refused(harness: WorkflowHarness) -> None:
    def wrong() -> int:
        return "many"  # type: ignore[return-value]

    def flow(step: StepContext) -> None:
        step.do("wrong", wrong)

    harness.go(flow)

    assert harness.error.startswith("invalid_payload: step.do('wrong'): the value: ")


def test_one_function_in_many_shapes_is_one(harness: WorkflowHarness) -> None:
    class Client:
        def get(self, n: int = 0) -> int:
            return harness.note("get", n)  # type: ignore[no-any-return]

    def flow(step: StepContext) -> list[int]:
        values: list[Any] = [
            step.do("get", Client().get, 1),
            step.do("get", partial(Client().get, 2)),
        ]
        values += [step.do("twice", lambda n=n: 2 * n) for n in range(2)]
        return values

    harness.go(flow)

    assert harness.value == [1, 2, 0, 2]


@pytest.mark.parametrize("effect", ["record", "artifact", "emit", "result", "send", "sleep", "do"])
def test_effects_and_waits_inside_an_operation_are_refused(
    harness: WorkflowHarness, effect: str
) -> None:
    calls: dict[str, Any] = {
        "record": lambda step: step.record("c", "k", 1),
        "artifact": lambda step: step.artifact("a", b""),
        "emit": lambda step: step.emit("harness.flow"),
        "result": lambda step: step.result(1),
        "send": lambda step: step.send(step.run.id, "t", 1),
        "sleep": lambda step: step.sleep(1),
        "do": lambda step: step.do("inner", harness.note, "inner"),
    }

    def flow(step: StepContext) -> None:
        step.do("outer", calls[effect], step)

    harness.go(flow)

    assert f"step.{effect}: called inside the operation 'outer'" in harness.error
    assert not harness.ran


def test_after_the_end_nothing_is_done_any_more(harness: WorkflowHarness) -> None:
    kept: list[StepContext] = []

    def flow(step: StepContext) -> None:
        kept.append(step)

    harness.go(flow)

    for call in (lambda: kept[0].do("x", len, "x"), lambda: kept[0].sleep(1)):
        with pytest.raises(Exception, match="the execution of step 'flow' has ended"):
            call()
    with pytest.raises(InvalidInput):
        harness.there.send(harness.run_id, "stepwell.x", 1)


def test_variables_are_there_again(harness: WorkflowHarness) -> None:
    def flow(step: StepContext) -> Any:
        step.variables["executions"] = step.variables.get("executions", 0) + 1
        step.do("x", harness.note, "x")
        step.sleep(1)
        return step.variables

    harness.go(flow)
    assert harness.checkpoint.variables == {"executions": 1}
    harness.pass_time(1)

    assert harness.value == {"executions": 2}


def test_digest_is_the_same_for_the_same_arguments() -> None:
    class Client:
        def __init__(self, n: int) -> None:
            self.n = n

    same = [
        (digest({"a": 1, "b": 2}), digest({"b": 2, "a": 1})),
        (digest({"x", "y", "z"}), digest({"z", "y", "x"})),
        (digest(Client(1), 2), digest(Client(3), 2)),
        (digest(1, a=2, b=3), digest(1, b=3, a=2)),
        (digest(iter([1])), digest(iter([2]))),
        (digest((1, 2)), digest([1, 2])),
    ]
    other = [
        (digest(1), digest("1")),
        (digest(1), digest(a=1)),
        (digest([1, 2]), digest([2, 1])),
        (digest(Deployed(version=1)), digest(Deployed(version=2))),
        (digest(b"\xff"), digest(b"\xfe")),
    ]
    assert all(a == b for a, b in same)
    assert all(a != b for a, b in other)
    round_: list[Any] = []
    round_.append(round_)
    assert len(digest(round_)) == 64
