"""Sending messages: from outside, and by steps with their commit."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import InvalidInput, NotFound, RefusedByState
from stepwell.engine.exchange import ClaimedStep, NewMessage
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    completed,
    new_message,
    new_run,
    new_step,
    suspended,
)
from stepwell.testing.run_store.case import (
    OPERATOR,
    Bench,
    RunStoreCase,
    check_counts,
)


def send(
    bench: Bench, payload: Any, *, topic: str = "mail", key: str | None = None, run: str = "r"
) -> bool:
    """Send a message to a run from outside."""
    return bench.store.send(new_message(run, topic, payload, key=key))


def receive(bench: Bench, step: ClaimedStep, operation: str = "receive") -> str | None:
    """The message that the step's operation receives on the topic `mail`."""
    return bench.store.receive(step, "mail", operation)


def waiting_step(bench: Bench, topic: str = "mail", **wait: Any) -> ClaimedStep:
    """The step `a` of the run `r`, now waiting for a message."""
    bench.create(new_step("a"))
    step = bench.claim_one()
    bench.settle(suspended(step, topic=topic, kind="message", operation="receive", **wait))
    return step


class SendTests(RunStoreCase):
    """`send`."""

    def test_message_wakes_the_step_that_waits_for_its_topic(self, bench: Bench) -> None:
        waiting_step(bench)
        assert bench.statuses() == {"a": "waiting"}

        assert send(bench, {"n": 1}) is True

        step = bench.claim_one()
        assert (step.id, step.attempt) == ("a", 1)
        assert receive(bench, step) == '{"n":1}'
        check_counts(bench)

    def test_message_on_another_topic_does_not(self, bench: Bench) -> None:
        waiting_step(bench)

        send(bench, 1, topic="mails")

        assert bench.statuses() == {"a": "waiting"}

    def test_message_to_another_run_does_not(self, bench: Bench) -> None:
        waiting_step(bench)
        bench.create(new_step("a", kind="later"), id="other")

        bench.store.send(new_message("other", "mail", 1))

        assert bench.statuses() == {"a": "waiting"}

    def test_all_steps_that_wait_for_the_topic_are_woken(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        bench.settle(*(suspended(step, topic="mail") for step in bench.claim()))

        send(bench, 1)

        assert bench.statuses() == {"a": "ready", "b": "ready"}

    def test_wakes_count_no_attempt(self, bench: Bench) -> None:
        waiting_step(bench)
        for number in range(3):
            send(bench, number)
            step = bench.claim_one()
            assert step.attempt == 1
            assert receive(bench, step, f"receive#{number}") == str(number)
            bench.settle(suspended(step, topic="mail"))

        assert bench.step("a").attempt == 0

    def test_key_makes_a_message_unique_within_its_run(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.create(new_step("a"), id="other")

        assert send(bench, 1, key="k") is True
        assert send(bench, 2, key="k") is False
        assert send(bench, 3, key="k2") is True
        assert bench.store.send(new_message("other", "mail", 4, key="k")) is True

        assert [message.payload for message in bench.store.messages("r")] == [1, 3]

    def test_messages_without_a_key_are_all_kept(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        send(bench, 1)

        assert len(bench.store.messages("r")) == 2

    def test_message_to_an_unknown_run(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="order-1")

        with pytest.raises(NotFound, match=r"no run 'order-2'; did you mean 'order-1'"):
            bench.store.send(new_message("order-2", "mail", 1))

    @pytest.mark.parametrize("end", ["succeeded", "failed", "canceled"])
    def test_run_that_has_ended_takes_no_messages(self, bench: Bench, end: str) -> None:
        bench.create(new_step("a"))
        if end == "canceled":
            bench.store.cancel_run("r", OPERATOR)
        else:
            bench.work_off(*(["a"] if end == "failed" else []))

        with pytest.raises(RefusedByState, match=f"run 'r' is {end}; it takes no messages"):
            send(bench, 1)

        assert bench.store.messages("r") == []

    def test_key_sent_before_the_end_is_still_known(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1, key="k")
        bench.work_off()

        assert send(bench, 1, key="k") is False

    @pytest.mark.parametrize(
        ("topic", "key", "message"),
        [
            ("stepwell.approval:a:approval", None, "begins with 'stepwell.'"),
            ("", None, "topic: must have 1 to 200 bytes"),
            ("x" * 201, None, "topic: must have 1 to 200 bytes"),
            ("a\nb", None, "topic: .* unprintable"),
            ("mail", "", "key: must have"),
            ("mail", "x\0y", "key: .* unprintable"),
        ],
    )
    def test_bad_topic_or_key(
        self, bench: Bench, topic: str, key: str | None, message: str
    ) -> None:
        bench.create(new_step("a"))

        with pytest.raises(InvalidInput, match=message):
            bench.store.send(NewMessage("r", topic, "1", key))

        assert bench.store.messages("r") == []

    def test_listed_with_sender_and_receiver(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        bench.store.send(new_message("r", "mail", [1], key="k"), "ann")
        bench.store.send(new_message("r", "post", [2]))
        receive(bench, bench.claim_one())

        first, second = bench.store.messages("r")

        assert (first.run_id, first.topic, first.payload, first.key) == ("r", "mail", [1], "k")
        assert (first.sender, first.received_by) == ("ann", "a")
        assert first.created_at == to_datetime(clock.micros())
        assert (second.sender, second.received_by) == (None, None)
        assert bench.store.messages("r", "post") == [second]
        assert bench.store.messages("r", "none") == []
        with pytest.raises(NotFound):
            bench.store.messages("x")

    def test_is_an_event_of_the_run(self, bench: Bench) -> None:
        waiting_step(bench)
        send(bench, 1, key="k")
        receive(bench, bench.claim_one())

        assert bench.event_types()[-3:] == ["message.sent", "step.woken", "message.received"]
        sent, _, received = bench.store.events("r")[-3:]
        assert dict(sent.data) == {"topic": "mail", "key": "k", "sender": None}
        assert (received.step_id, received.data["operation"]) == ("a", "receive")


class CommittedMessageTests(RunStoreCase):
    """Messages that steps send: with their commit, or not at all."""

    def test_sent_with_the_end_of_the_step(self, bench: Bench) -> None:
        bench.create(new_step("sender"), id="from")
        sender = bench.claim_one()
        waiting_step(bench)

        bench.complete(sender, messages=[new_message("r", "mail", 1)])

        assert receive(bench, bench.claim_one()) == "1"
        (message,) = bench.store.messages("r")
        assert (message.sender, message.received_by) == ("from/sender", "a")

    def test_sent_with_a_suspension(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        message = new_message("r", "other", 1)

        bench.settle(suspended(bench.claim_one(), topic="mail", messages=[message]))

        assert [message.payload for message in bench.store.messages("r")] == [1]
        assert bench.statuses() == {"a": "waiting"}

    def test_to_itself(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        message = new_message("r", "mail", 1)

        bench.settle(suspended(bench.claim_one(), topic="mail", messages=[message]))

        assert receive(bench, bench.claim_one()) == "1"

    def test_refused_outcome_sends_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one()
        bench.lapse()

        bench.settle(completed(stale, messages=[new_message("r", "mail", 1)]))

        assert bench.store.messages("r") == []

    def test_key_that_was_used_before_is_passed_over(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        send(bench, 0, key="k")
        a, b = bench.claim()

        bench.settle(
            completed(a, messages=[new_message("r", "mail", 1, key="k")]),
            completed(
                b,
                messages=[
                    new_message("r", "mail", 2, key="new"),
                    new_message("r", "mail", 3, key="new"),
                    new_message("r", "mail", 4),
                ],
            ),
        )

        assert [message.payload for message in bench.store.messages("r")] == [0, 2, 4]

    def test_order_of_one_step_is_kept(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", kind="later"))
        sent = [new_message("r", "mail", number) for number in range(20)]

        bench.complete(bench.claim_one(), messages=sent)

        assert [message.payload for message in bench.store.messages("r")] == list(range(20))

    def test_to_a_run_that_is_gone_they_are_dropped(self, bench: Bench) -> None:
        bench.create(new_step("x"), id="done")
        bench.work_off()
        bench.create(new_step("a"))
        sent = [new_message("done", "mail", 1), new_message("never was", "mail", 2)]

        bench.complete(bench.claim_one(), messages=sent)

        assert bench.run_status() is RunStatus.SUCCEEDED
        assert bench.store.messages("done") == []
        dropped = [e.data for e in bench.store.events("r") if e.type == "message.dropped"]
        assert [(data["run_id"], data["reason"]) for data in dropped] == [
            ("done", "succeeded"),
            ("never was", "unknown"),
        ]

    def test_repeated_ones_are_not_dropped_though_their_run_has_ended(self, bench: Bench) -> None:
        bench.create(new_step("x", kind="later"), id="other")
        bench.create(new_step("a"))
        sent = [new_message("other", "mail", 1, key="k")]
        bench.settle(suspended(bench.claim_one(), until=0, messages=sent))
        bench.store.cancel_run("other", OPERATOR)
        bench.store.reap(1)

        bench.complete(bench.claim_one(), messages=[*sent, new_message("other", "mail", 2)])

        dropped = [e.data for e in bench.store.events("r") if e.type == "message.dropped"]
        assert [data["reason"] for data in dropped] == ["canceled"]

    @pytest.mark.parametrize("key", ["", "stepwell.approval:1:wait", "k" * 201])
    def test_bad_keys(self, bench: Bench, key: str) -> None:
        bench.create(new_step("a"))

        with pytest.raises(InvalidInput, match="key: "):
            send(bench, 1, key=key)
        assert bench.store.messages("r") == []

    def test_to_many_runs_at_once(self, bench: Bench) -> None:
        for number in range(5):
            bench.create(new_step("a"), id=f"r{number}")
        bench.settle(*(suspended(step, topic="mail") for step in bench.claim()))
        bench.create(new_step("sender"), id="from")
        sent = [new_message(f"r{number}", "mail", number) for number in range(5)]

        bench.complete(bench.claim_one(), messages=sent)

        woken = bench.claim()
        assert {step.run.id: receive(bench, step) for step in woken} == {
            f"r{number}": str(number) for number in range(5)
        }

    def test_to_the_run_it_starts(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        child = new_run("child", new_step("x"))

        bench.settle(
            suspended(bench.claim_one(), start=child, messages=[new_message("child", "mail", 1)])
        )

        assert receive(bench, bench.claim_one()) == "1"
