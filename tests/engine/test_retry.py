from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell.engine.errors import InvalidInput, Permanent, Retryable, RetryAfter, StepError
from stepwell.engine.retry import MAX_WAIT, Retry, retry_delay

NO_JITTER: dict[str, Any] = {"jitter": 0.0}


def waits(policy: Retry, count: int, chance: float = 0.0) -> list[float]:
    return [policy.delay(attempt, chance).total_seconds() for attempt in range(1, count + 1)]


def decide(error: BaseException, policy: Retry | None, failures: int = 0) -> float | None:
    delay = retry_delay(error, policy, failures, lambda: 0.0)
    return None if delay is None else delay.total_seconds()


class Unlucky(Exception):
    """An error of an author's own."""


class VeryUnlucky(Unlucky):
    """One more."""


class Unspeakable:
    """Something whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


class TestWaits:
    def test_fixed(self) -> None:
        assert waits(Retry(wait="fixed", initial=2), 4) == [2, 2, 2, 2]

    def test_linear(self) -> None:
        assert waits(Retry(wait="linear", initial=2, maximum=7), 5) == [2, 4, 6, 7, 7]

    def test_exponential(self) -> None:
        policy = Retry(wait="exponential", initial=1, multiplier=3, maximum=60)

        assert waits(policy, 6) == [1, 3, 9, 27, 60, 60]

    def test_exponential_far_beyond_what_a_number_holds(self) -> None:
        assert Retry(multiplier=1000, maximum=300).delay(9_999, 0.0) == timedelta(seconds=300)

    def test_durations_may_be_timedeltas(self) -> None:
        policy = Retry(wait="fixed", initial=timedelta(milliseconds=5))

        assert waits(policy, 1) == [0.005]

    def test_initial_over_the_maximum(self) -> None:
        for wait in ("fixed", "linear", "exponential"):
            assert waits(Retry(wait=wait, initial=9, maximum=3), 2) == [3, 3]

    def test_jitter_adds_a_part_of_the_wait(self) -> None:
        policy = Retry(wait="fixed", initial=10, jitter=0.5)

        assert [waits(policy, 1, chance)[0] for chance in (0.0, 0.5, 0.99)] == [10, 12.5, 14.95]

    def test_longest_wait(self) -> None:
        policy = Retry(wait="fixed", initial=MAX_WAIT, maximum=MAX_WAIT, jitter=1)

        assert waits(policy, 1, 0.9) == [MAX_WAIT]


class TestDecisions:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ValueError("x"), None),
            (StepError("code"), None),
            (Permanent("code"), None),
            (Retryable("code"), 1.0),
            (RetryAfter(7), 7.0),
            (KeyboardInterrupt(), None),
        ],
    )
    def test_without_a_policy(self, error: BaseException, expected: float | None) -> None:
        assert decide(error, None) == expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ValueError("x"), 1.0),
            (StepError("code"), 1.0),
            (Permanent("code"), None),
            (Retryable("code"), 1.0),
            (RetryAfter(timedelta(minutes=1)), 60.0),
            (RetryAfter(0), 0.0),
            (SystemExit(), 1.0),
        ],
    )
    def test_with_a_policy(self, error: BaseException, expected: float | None) -> None:
        assert decide(error, Retry(**NO_JITTER)) == expected

    def test_max_attempts_counts_the_first_one(self) -> None:
        policy = Retry(max_attempts=3, **NO_JITTER)

        assert [decide(ValueError(), policy, failures) for failures in range(4)] == [
            1.0,
            2.0,
            None,
            None,
        ]
        assert decide(RetryAfter(1), policy, 2) is None
        assert decide(ValueError(), Retry(max_attempts=1), 0) is None

    def test_without_a_policy_retryable_has_the_default_number_of_attempts(self) -> None:
        assert [decide(Retryable("c"), None, failures) for failures in (1, 2)] == [2.0, None]

    @pytest.mark.parametrize(
        "retry_on",
        [
            Unlucky,
            (Unlucky,),
            [KeyError, Unlucky],
            "Unlucky",
            f"{__name__}.Unlucky",
            [Exception],
        ],
        ids=str,
    )
    def test_retry_on_covers_subclasses(self, retry_on: Any) -> None:
        policy = Retry(retry_on=retry_on, **NO_JITTER)

        assert decide(VeryUnlucky(), policy) == 1.0

    def test_retry_on_by_code(self) -> None:
        policy = Retry(retry_on="busy", **NO_JITTER)

        assert decide(StepError("busy"), policy) == 1.0
        assert decide(StepError("gone"), policy) is None
        assert decide(ValueError(), policy) is None

    def test_errors_that_ask_for_it_are_retried_outside_of_retry_on(self) -> None:
        policy = Retry(retry_on=KeyError, **NO_JITTER)

        assert decide(Retryable("code"), policy) == 1.0
        assert decide(Permanent("code"), policy) is None

    def test_longest_wait_that_can_be_asked_for(self) -> None:
        assert decide(RetryAfter(timedelta(days=366)), Retry()) == MAX_WAIT

    @pytest.mark.parametrize(
        "delay", [-1, -0.5, -1e300, float("-inf"), timedelta(seconds=-3), timedelta.min]
    )
    def test_a_wait_that_is_over_already_means_now(self, delay: Any) -> None:
        assert RetryAfter(delay).delay == timedelta(0)
        assert decide(RetryAfter(delay), Retry()) == 0.0

    def test_a_negative_wait_that_was_set_later_means_now(self) -> None:
        error = RetryAfter(5)
        error.delay = timedelta(days=-2)

        assert decide(error, Retry()) == 0.0

    @pytest.mark.parametrize(
        "delay", [timedelta(days=366, microseconds=1), timedelta.max, 1e300, float("nan"), "soon"]
    )
    def test_a_wait_out_of_range_is_refused(self, delay: Any) -> None:
        with pytest.raises(InvalidInput, match=r"RetryAfter\.delay: must be a duration up to 366d"):
            RetryAfter(delay)

    @pytest.mark.parametrize(
        ("code", "made"),
        [
            (418, "418"),
            (None, "None"),
            ("", "step_error"),
            ("x" * 201, "x" * 200),
            (Unspeakable(), "Unspeakable"),
        ],
    )
    def test_a_code_that_is_none_does_not_hide_the_failure(self, code: Any, made: str) -> None:
        error = Permanent(code, "why it failed")

        assert (error.code, str(error)) == (made, "why it failed")


class TestStoring:
    def test_policy_survives_the_store(self) -> None:
        policy = Retry(
            max_attempts=7,
            wait="linear",
            initial=timedelta(seconds=2),
            jitter=0,
            retry_on=[Unlucky, "busy"],
        )

        assert Retry.from_json(policy.to_json()) == policy
        assert Retry.from_json(policy.to_json()).covers(VeryUnlucky())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_attempts": 0}, "retry.max_attempts: must be a whole number from 1 to 10000, got 0"),
        ({"max_attempts": True}, "retry.max_attempts: must be a whole number"),
        ({"max_attempts": 2.0}, "retry.max_attempts: must be a whole number"),
        ({"wait": "often"}, "retry.wait: must be 'fixed', 'linear' or 'exponential', got 'often'"),
        ({"initial": -1}, "retry.initial: must be a duration from 0s to 366d"),
        ({"initial": "1 s"}, "retry.initial: must be a duration"),
        ({"maximum": float("inf")}, "retry.maximum: must be a duration"),
        ({"multiplier": 0.5}, "retry.multiplier: must be a number from 1 to 1000, got 0.5"),
        ({"multiplier": None}, "retry.multiplier: must be a number"),
        ({"jitter": 1.5}, "retry.jitter: must be a number from 0 to 1, got 1.5"),
        ({"retry_on": [3]}, "retry.retry_on: must hold exception types or names, got 3"),
        ({"retry_on": [""]}, "retry.retry_on: must hold exception types or names, got ''"),
        ({"retry_on": [int]}, "retry.retry_on: int is not an exception type"),
        ({"retry_on": 5}, "retry.retry_on: must hold exception types or names, got 5"),
    ],
    ids=lambda value: None,
)
def test_policy_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Retry(**fields)

    assert message in str(caught.value)
