"""Messages are received first in, first out, each by one receiver; none is lost before a wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import LeaseLost
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import failed, new_step, released, suspended
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    RunStoreCase,
    check_counts,
)
from stepwell.testing.run_store.messages import receive, send, waiting_step


class ReceiveTests(RunStoreCase):
    """`receive`, and waits for messages."""

    def test_first_in_first_out_for_each_topic(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        for number in range(3):
            send(bench, number)
            send(bench, -number, topic="other")
        step = bench.claim_one()

        got = [receive(bench, step, f"receive#{number}") for number in range(4)]

        assert got == ["0", "1", "2", None]

    def test_same_operation_gets_the_same_message_again(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        send(bench, 2)
        step = bench.claim_one()

        assert [receive(bench, step) for _ in range(3)] == ["1", "1", "1"]

    def test_next_attempt_gets_the_same_message_again(self, bench: Bench) -> None:
        bench.create(new_step("a", max_attempts=2))
        send(bench, 1)
        step = bench.claim_one()
        receive(bench, step)
        bench.settle(failed(step, retry_in=timedelta(0)))

        assert receive(bench, bench.claim_one()) == "1"

    def test_after_a_retry_the_wait_for_it_is_over_at_once(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        receive(bench, bench.claim_one())
        bench.store.cancel_run("r", OPERATOR)
        bench.store.retry_run("r", OPERATOR)

        step = bench.claim_one()
        bench.settle(suspended(step, topic="mail", kind="message", operation="receive"))

        assert receive(bench, bench.claim_one()) == "1"

    def test_refused_message_is_nobodys_and_the_next_one_is_given(self, bench: Bench) -> None:
        bench.create(new_step("a", max_attempts=2))
        send(bench, 1)
        send(bench, 2)
        step = bench.claim_one()
        receive(bench, step)
        bad = bench.store.given(step, "receive")
        assert bad is not None

        bench.store.refuse(step, "receive", bad)

        assert receive(bench, step) == "2"
        bench.store.refuse(step, "receive", bad)
        assert receive(bench, step) == "2"
        found = [(m.id == bad, m.received_by, m.refused) for m in bench.store.messages("r")]
        assert found == [(True, "a", True), (False, "a", False)]

    def test_refused_message_ends_no_wait(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        step = bench.claim_one()
        receive(bench, step)
        bad = bench.store.given(step, "receive")
        assert bad is not None

        bench.store.refuse(step, "receive", bad)
        bench.settle(suspended(step, topic="mail", kind="message", operation="receive"))

        assert bench.statuses() == {"a": "waiting"}

    def test_stale_holder_refuses_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        stale = bench.claim_one()
        receive(bench, stale)
        given = bench.store.given(stale, "receive")
        assert given is not None
        bench.lapse()
        fresh = bench.claim_one()

        with pytest.raises(LeaseLost):
            bench.store.refuse(stale, "receive", given)

        assert receive(bench, fresh) == "1"

    def test_two_receivers_never_get_the_same_message(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        for number in range(4):
            send(bench, number)
        a, b = bench.claim()

        got = [receive(bench, step, f"op{n}") for n in range(2) for step in (a, b)]

        assert got == ["0", "1", "2", "3"]

    def test_loser_of_two_receivers_waits_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        bench.settle(*(suspended(step, topic="mail") for step in bench.claim()))
        send(bench, 1)
        a, b = bench.claim()
        assert (receive(bench, a), receive(bench, b)) == ("1", None)

        bench.settle(suspended(b, topic="mail"))

        assert bench.statuses()["b"] == "waiting"
        send(bench, 2)
        assert receive(bench, bench.claim_one()) == "2"

    def test_message_sent_before_the_wait_is_not_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        assert receive(bench, step) is None
        send(bench, 1)

        exchange = bench.exchange(suspended(step, topic="mail"))

        (again,) = exchange.claimed
        assert receive(bench, again) == "1"
        assert bench.event_types()[-3:] == ["step.waiting", "step.woken", "message.received"]

    def test_received_messages_do_not_end_a_wait(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        step = bench.claim_one()
        receive(bench, step)

        bench.settle(suspended(step, topic="mail"))

        assert bench.statuses() == {"a": "waiting"}

    def test_time_limit(self, bench: Bench, clock: VirtualClock) -> None:
        until = clock.micros() + 1_000_000
        waiting_step(bench, until=until)
        clock.advance(SECOND)

        assert bench.store.reap(3) == 1

        step = bench.claim_one()
        assert step.wake_at == until
        assert receive(bench, step) is None

    def test_deadline_is_still_known_when_a_message_came_in_time(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        until = clock.micros() + 60_000_000
        waiting_step(bench, until=until)

        send(bench, 1)

        step = bench.claim_one()
        assert step.wake_at == until
        assert bench.store.next_due(bench.clock.micros()) == step.expires_at

    def test_woken_step_that_is_released_keeps_its_wait(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        until = clock.micros() + 60_000_000
        waiting_step(bench, until=until)
        send(bench, 1)
        bench.settle(released(bench.claim_one()))

        step = bench.claim_one()

        assert (step.wake_at, step.attempt) == (until, 1)
        assert step.wait is not None

    def test_failed_attempt_forgets_its_wait(self, bench: Bench, clock: VirtualClock) -> None:
        waiting_step(bench, until=clock.micros() + 60_000_000)
        send(bench, 1)
        bench.settle(failed(bench.claim_one(), retry_in=timedelta(0)))

        step = bench.claim_one()

        assert (step.wait, step.wake_at) == (None, None)

    def test_stale_holder_gets_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        stale = bench.claim_one()
        bench.lapse()
        fresh = bench.claim_one()

        with pytest.raises(LeaseLost, match="step 'a' of run 'r' is not held any more"):
            receive(bench, stale)

        assert receive(bench, fresh) == "1"

    def test_holder_of_a_canceled_step_gets_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        send(bench, 1)
        step = bench.claim_one()
        bench.store.cancel_run("r", OPERATOR)

        with pytest.raises(LeaseLost):
            receive(bench, step)

        assert bench.store.messages("r")[0].received_by is None

    def test_canceled_while_it_waits(self, bench: Bench) -> None:
        waiting_step(bench)

        assert bench.store.cancel_run("r", OPERATOR) == 1

        assert bench.statuses() == {"a": "canceled"}
        assert bench.run_status() is RunStatus.CANCELED
        check_counts(bench)

    def test_retried_by_an_operator_it_gets_its_message_again(self, bench: Bench) -> None:
        waiting_step(bench)
        send(bench, 1)
        step = bench.claim_one()
        receive(bench, step)
        bench.fail(step)

        bench.store.retry_step("r", "a", OPERATOR)

        step = bench.claim_one()
        assert (step.wait, step.wake_at) == (None, None)
        assert receive(bench, step) == "1"
