"""Combined waits: the first of several wakes the step, or the last; nothing is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import pytest

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import LeaseLost, NotFound
from stepwell.engine.exchange import ClaimedStep, Several, Wait
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import completed, failed, new_step, suspended
from stepwell.testing.run_store.case import OPERATOR, SECOND, Bench, RunStoreCase
from stepwell.testing.run_store.messages import send
from stepwell.testing.run_store.sharing import at_once

HOUR = timedelta(hours=1)


def message(topic: str) -> Wait:
    """A wait for a message to the step's run."""
    return Wait(topic=topic, kind="message", operation=f"wait.{topic}")


def value(key: str, run: str = "other") -> Wait:
    """A wait for a value of another run."""
    return Wait(value=(run, key), kind="value", operation=f"wait.{key}")


def end(run: str = "other") -> Wait:
    """A wait for the end of another run."""
    return Wait(run_id=run, kind="run", operation=f"wait.{run}")


def decision(step: str = "a") -> Wait:
    """A wait for a decision."""
    topic = f"stepwell.approval:{step}:wait.ok"
    return Wait(topic=topic, kind="approval", operation="wait.ok")


def wait_for(
    bench: Bench,
    step: ClaimedStep,
    kind: Literal["any", "all"],
    *waits: Wait,
    sleep: int | None = None,
    limit: int | None = None,
) -> None:
    """Suspend the step; `sleep` and `limit` are in seconds from now."""
    now = bench.clock.micros()
    ends = [None if time is None else now + time * 1_000_000 for time in (sleep, limit)]
    until = min((time for time in ends if time is not None), default=None)
    several = Several(waits, ends[0], ends[1])
    bench.settle(suspended(step, until=until, kind=kind, operation="wait", several=several))


def waiting(bench: Bench, kind: Literal["any", "all"], *waits: Wait, **times: Any) -> None:
    """Let step `a` of run `r` wait for these; there is another run, `other`, with two steps."""
    bench.create(new_step("a"))
    step = bench.claim_one()
    bench.create(new_step("x"), new_step("y"), id="other")
    wait_for(bench, step, kind, *waits, **times)


class SideBySideTests(RunStoreCase):
    """Waits for any or all of several, `arrivals` and `take`."""

    @pytest.mark.parametrize("topic", ["mail", "phone"])
    def test_either_of_two_messages_wakes(self, bench: Bench, topic: str) -> None:
        waiting(bench, "any", message("mail"), message("phone"))
        send(bench, 0, topic="fax")
        assert bench.statuses() == {"a": "waiting"}

        send(bench, 1, topic=topic)

        assert bench.statuses() == {"a": "ready"}

    def test_all_are_waited_for_in_whatever_order(self, bench: Bench) -> None:
        waiting(bench, "all", message("mail"), message("phone"), decision(), end(), value("k"))
        x = bench.claim_by_id()["x"]

        send(bench, 1, topic="phone")
        bench.store.set_value(x, "k", "1", "set_value")
        bench.store.decide("r", None, True, OPERATOR)
        bench.store.cancel_run("other", OPERATOR)
        assert bench.statuses() == {"a": "waiting"}
        send(bench, 2, topic="mail")

        assert bench.statuses() == {"a": "ready"}

    @pytest.mark.parametrize("kind", ["any", "all"])
    def test_what_came_before_the_wait_is_not_lost(
        self, bench: Bench, kind: Literal["any", "all"]
    ) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.create(id="empty")
        send(bench, 1)

        wait_for(bench, step, kind, message("mail"), end("empty"))

        assert bench.statuses() == {"a": "ready"}

    @pytest.mark.parametrize("how", ["succeeded", "failed", "canceled"])
    def test_end_of_a_run_wakes_whatever_it_is(self, bench: Bench, how: str) -> None:
        waiting(bench, "any", message("mail"), end())
        steps = [step for step in bench.claim() if step.run.id == "other"]

        if how == "canceled":
            bench.store.cancel_run("other", OPERATOR)
        else:
            for step in steps:
                bench.settle(completed(step, 1) if how == "succeeded" else failed(step, "broken"))

        assert bench.run_status("other") == RunStatus(how)
        assert bench.statuses() == {"a": "ready"}

    def test_value_of_another_run_wakes(self, bench: Bench) -> None:
        waiting(bench, "any", message("mail"), value("k"))
        x = bench.claim_by_id()["x"]

        bench.store.set_value(x, "other key", "1", "set_value")
        assert bench.statuses() == {"a": "waiting"}
        bench.store.set_value(x, "k", "1", "set_value#2")

        assert bench.statuses() == {"a": "ready"}

    @pytest.mark.parametrize("kind", ["any", "all"])
    def test_decision_finds_the_step_that_waits_for_other_things_too(
        self, bench: Bench, kind: Literal["any", "all"]
    ) -> None:
        waiting(bench, kind, message("mail"), decision(), sleep=1 if kind == "all" else None)
        if kind == "all":  # the end of a sleep is not a time-out
            bench.clock.advance(2 * SECOND)

        assert bench.store.decide("r", None, True, OPERATOR) == "a"

        assert bench.statuses() == {"a": "ready" if kind == "any" else "waiting"}

    def test_time_wakes_a_wait_for_any(self, bench: Bench, clock: VirtualClock) -> None:
        waiting(bench, "any", message("mail"), message("phone"), sleep=10)
        assert bench.store.next_due(clock.micros()) == clock.micros() + 10_000_000

        clock.advance(10 * SECOND)
        assert bench.store.reap(3) == 1

        assert bench.statuses() == {"a": "ready"}
        bench.claim()
        send(bench, 1)  # no step waits any more

    def test_sleep_of_all_is_waited_for_after_the_rest(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        waiting(bench, "all", message("mail"), sleep=10, limit=60)
        send(bench, 1)
        assert bench.statuses() == {"a": "waiting"}

        clock.advance(10 * SECOND)
        bench.store.reap(3)

        assert bench.statuses() == {"a": "ready"}

    @pytest.mark.parametrize("limit", [None, 60])
    def test_rest_of_all_is_waited_for_after_the_sleep(
        self, bench: Bench, clock: VirtualClock, limit: int | None
    ) -> None:
        waiting(bench, "all", message("mail"), message("phone"), sleep=10, limit=limit)
        clock.advance(10 * SECOND)
        bench.store.reap(3)
        assert bench.statuses() == {"a": "waiting"}
        due = None if limit is None else clock.micros() + 50_000_000
        assert bench.store.next_due(clock.micros()) == due

        send(bench, 1)
        send(bench, 2, topic="phone")

        assert bench.statuses() == {"a": "ready"}
        assert bench.event_types(step="a").count("step.waiting") == 1

    def test_limit_of_all_wakes_though_something_is_missing(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        waiting(bench, "all", message("mail"), message("phone"), sleep=10, limit=60)
        send(bench, 1)
        for seconds in (10, 50):
            assert bench.statuses() == {"a": "waiting"}
            clock.advance(seconds * SECOND)
            bench.store.reap(3)

        assert bench.statuses() == {"a": "ready"}

    @pytest.mark.parametrize("how", ["pause", "hold"])
    def test_rest_of_the_time_is_frozen(self, bench: Bench, clock: VirtualClock, how: str) -> None:
        waiting(bench, "all", message("mail"), message("phone"), sleep=10, limit=30)
        clock.advance(4 * SECOND)
        store = bench.store
        if how == "pause":
            store.pause_run("r", OPERATOR)
        else:
            store.hold_step("r", "a", OPERATOR)
        clock.advance(HOUR)
        assert store.reap(3) == 0
        send(bench, 1)
        if how == "pause":
            store.resume_run("r", OPERATOR)
        else:
            store.release_step("r", "a", OPERATOR)

        for seconds in (6, 20):
            assert store.next_due(clock.micros()) == clock.micros() + seconds * 1_000_000
            clock.advance(seconds * SECOND)
            store.reap(3)

        assert bench.statuses() == {"a": "ready"}

    def test_what_comes_while_it_is_held_lets_it_go_on_later(self, bench: Bench) -> None:
        waiting(bench, "any", message("mail"), message("phone"), sleep=10)
        bench.store.hold_step("r", "a", OPERATOR)

        send(bench, 1)
        assert bench.statuses() == {"a": "held"}
        bench.store.release_step("r", "a", OPERATOR)

        assert bench.statuses() == {"a": "ready"}

    def test_canceled_step_waits_for_nothing(self, bench: Bench) -> None:
        waiting(bench, "any", message("mail"), end(), decision())

        bench.store.cancel_run("r", OPERATOR)
        bench.store.cancel_run("other", OPERATOR)
        bench.store.retry_run("r", OPERATOR)

        step = bench.claim_one()
        wait_for(bench, step, "any", message("mail"), message("phone"))
        assert bench.statuses() == {"a": "waiting"}

    def test_waits_again_for_other_things(self, bench: Bench) -> None:
        waiting(bench, "any", message("mail"), message("phone"))
        send(bench, 1)

        wait_for(bench, bench.claim_by_id()["a"], "any", message("phone"), message("fax"))
        send(bench, 1)
        assert bench.statuses() == {"a": "waiting"}
        send(bench, 1, topic="fax")

        assert bench.statuses() == {"a": "ready"}

    def test_step_says_what_it_waits_for(self, bench: Bench, clock: VirtualClock) -> None:
        waiting(bench, "any", message("mail"), value("k"), sleep=10)

        wait = bench.step("a").wait

        assert wait is not None
        assert (wait.kind, wait.until) == ("any", to_datetime(clock.micros()) + 10 * SECOND)
        assert [(one.kind, one.topic, one.value) for one in wait.waits] == [
            ("message", "mail", None),
            ("value", None, ("other", "k")),
        ]

    def test_arrivals_are_told_and_not_taken(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        a = bench.claim_one()
        bench.create(new_step("x"), id="other")
        x = bench.claim_one()
        began = clock.micros()
        send(bench, 1)
        clock.advance(SECOND)
        bench.store.set_value(x, "k", "1", "set_value")
        bench.complete(x, {"n": 1})
        asked = [message("mail"), message("phone"), value("k"), end(), Wait(kind="sleep")]

        found = [bench.store.arrivals(a, asked) for _ in range(2)][1]

        assert [None if one is None else one.at - began for one in found] == [
            *(0, None, 1_000_000, 1_000_000),
            None,
        ]
        assert found[2] is not None
        assert found[2].value == "1"
        assert found[3] is not None
        told = {"run_id": "other", "status": "succeeded", "result": {"n": 1}, "error": None}
        assert json.loads(found[3].value) == told
        assert [m.received_by for m in bench.store.messages("r")] == [None]

    def test_end_without_one_result_and_with_an_error(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        a = bench.claim_one()
        for run in ("two", "broken"):
            bench.create(new_step("x"), new_step("y"), id=run)
            for step in bench.claim():
                bench.settle(failed(step, "broken") if run == "broken" else completed(step, 1))

        two, broken = bench.store.arrivals(a, [end("two"), end("broken")])

        assert two is not None
        assert broken is not None
        assert json.loads(two.value)["result"] is None
        told = json.loads(broken.value)
        assert (told["status"], told["result"], told["error"]["code"]) == ("failed", None, "broken")

    def test_arrivals_of_no_run(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()

        for wait in (end("gone"), value("k", "gone")):
            with pytest.raises(NotFound, match="gone"):
                bench.store.arrivals(step, [message("mail"), wait])

    def test_messages_are_taken_all_or_none(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        steps = bench.claim_by_id()
        send(bench, 1)
        send(bench, 2, topic="phone")
        a, b = steps["a"], steps["b"]
        waits = [message("mail"), message("phone")]
        found = bench.store.arrivals(a, waits)
        wanted = [(one.message, f"w{n}") for n, one in enumerate(found) if one and one.message]
        bench.store.receive(b, "phone", "receive")

        assert bench.store.take(a, wanted) is False
        assert bench.store.messages("r", "mail")[0].received_by is None
        assert bench.store.take(a, wanted[:1]) is True
        assert bench.store.take(a, wanted[:1]) is True  # as before

        assert bench.store.messages("r", "mail")[0].received_by == "a"
        (again,) = bench.store.arrivals(a, [Wait(topic="mail", kind="message", operation="w0")])
        assert again is not None
        assert again.taken

    def test_stale_holder_takes_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one()
        send(bench, 1)
        (found,) = bench.store.arrivals(stale, [message("mail")])
        assert found is not None
        assert found.message is not None
        bench.lapse()
        bench.claim_one()

        with pytest.raises(LeaseLost):
            bench.store.take(stale, [(found.message, "wait.mail")])

        assert [m.received_by for m in bench.store.messages("r")] == [None]

    def test_last_two_that_come_at_the_same_moment_wake(self, bench: Bench) -> None:
        for number in range(10):
            run, other = f"r{number}", f"o{number}"
            bench.create(new_step("a"), id=run)
            step = bench.claim_one()
            bench.create(new_step("x"), id=other)
            bench.claim_one()
            waits = (message("mail"), end(other))
            wait_for(bench, step, "all", *waits)

            acts: list[Callable[[], object]] = [
                partial(send, bench, 1, run=run),
                partial(bench.store.cancel_run, other, OPERATOR),
            ]
            at_once(2, lambda n, acts=acts: acts[n]())  # type: ignore[misc]

            assert bench.statuses(run) == {"a": "ready"}
            bench.claim_one()
