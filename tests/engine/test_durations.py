"""Durations: the forms in which they are given, and every door that takes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

import stepwell
from stepwell import InvalidInput, Package, Queue, Retry, RetryAfter, RunBuilder, Settings
from stepwell.engine.clock import VirtualClock
from stepwell.engine.duration_checks import check_duration, patience
from stepwell.engine.durations import FORMS, duration_text, read_duration
from stepwell.engine.model import StepFilter
from stepwell.engine.queue_rules import check_queue
from stepwell.executors.kinds.http import HttpFetch
from stepwell.executors.kinds.shell import ShellRun
from stepwell.executors.kinds.wait import AwaitApproval, Sleep

NO_DURATIONS: list[Any] = [
    *(True, None, [], b"5m", float("nan"), float("inf"), 10**400),
    *("", " ", "soon", "5 mins", "5 m", "5M", "m", "1m1h", "1m1m", "-5m", "+5m", "nan", "inf"),
    *(
        "1h30",
        "1,5h",
        "1_000",
        "PT5M",
        "\N{ARABIC-INDIC DIGIT FIVE}m",
        "1e5m",
        "9" * 101,
        "99999999999d",
    ),
]


class TestForms:
    @pytest.mark.parametrize(
        ("given", "seconds"),
        [
            *((90, 90), (1.5, 1.5), (-3, -3), (timedelta(minutes=1), 60)),
            *(("90", 90), (".5", 0.5), ("1e3", 1_000), (" 5m ", 300)),
            *(("5m", 300), ("1h30m", 5_400), ("250ms", 0.25), ("2d", 172_800), ("0s", 0)),
            *(("1.5h", 5_400), ("1m1ms", 60.001), ("1d1h1m1s1ms", 90_061.001)),
        ],
    )
    def test_what_is_a_duration(self, given: Any, seconds: float) -> None:
        assert read_duration(given) == timedelta(seconds=seconds)

    @pytest.mark.parametrize("given", NO_DURATIONS, ids=lambda each: repr(each)[:12])
    def test_what_is_none(self, given: Any) -> None:
        assert read_duration(given) is None

    @given(some.timedeltas(timedelta(0), timedelta(days=36_600)))
    def test_its_text_is_read_back(self, duration: timedelta) -> None:
        assert read_duration(duration_text(duration)) == duration


class TestCheck:
    def test_it_names_the_field_the_range_and_what_was_given(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_duration("5 mins", "executor 'k'.timeout", timedelta(days=366))

        assert str(caught.value) == (
            "executor 'k'.timeout: must be a duration over 0s and up to 366d "
            f"({FORMS}), got '5 mins'"
        )

    @pytest.mark.parametrize("given", [0, "0s", -1, timedelta(seconds=-1), "367d", 1e-9])
    def test_out_of_range(self, given: Any) -> None:
        with pytest.raises(InvalidInput, match=r"^t: must be a duration over 0s .* got "):
            check_duration(given, "t", timedelta(days=366))

    def test_the_ends_of_a_range(self) -> None:
        low, high = timedelta(seconds=1), timedelta(seconds=2)

        assert check_duration("1s", "t", high, least=low) == low
        assert check_duration(2, "t", high, least=low) == high
        for out in ("999ms", "2.001s"):
            with pytest.raises(InvalidInput, match="must be a duration from 1s to 2s"):
                check_duration(out, "t", high, least=low)

    def test_patience_may_be_none_or_zero(self) -> None:
        assert (patience(None), patience(0), patience("2m")) == (None, 0, 120)
        with pytest.raises(InvalidInput, match=r"^grace: must be a duration from 0s"):
            patience(-1, "grace")


def _package() -> Package:
    package = Package("p")

    @package.entrypoint
    def begin(run: RunBuilder) -> None:
        run.step("wait.sleep", {"seconds": 0}, id="a")

    return package


def _step_timeout(given: Any) -> Any:
    package = Package("p")

    @package.entrypoint
    def begin(run: RunBuilder) -> None:
        run.step("wait.sleep", {"seconds": 0}, id="a", timeout=given)

    with stepwell.connect("memory://", packages=[package]) as runtime:
        handle = runtime.start_run("p")
        return runtime.internals.store.steps(handle.id, StepFilter())[0].timeout


def _executor_timeout(given: Any) -> Any:
    @Package("p").executor("k", timeout=given)
    def k() -> None: ...

    return k.options.timeout


def _workflow_timeout(given: Any) -> Any:
    @Package("p").workflow(timeout=given)
    def k() -> None: ...

    return k.options.timeout


def _period(given: Any) -> Any:
    return check_queue(Queue("q", rate_limit=1, rate_period=given)).rate_period


# Each place that takes a duration, and gives back what it took.
DOORS: dict[str, Callable[[Any], Any]] = {
    "step": _step_timeout,
    "executor": _executor_timeout,
    "workflow": _workflow_timeout,
    "retry.initial": lambda given: Retry(initial=given).initial,
    "retry.maximum": lambda given: Retry(maximum=given).maximum,
    "RetryAfter": lambda given: RetryAfter(given).delay,
    "queue": _period,
    "lease": lambda given: Settings(lease=given).lease,
    "poll_interval": lambda given: Settings(poll_interval=given).poll_interval,
    "grace": lambda given: Settings(grace=given).grace,
    "kill_grace": lambda given: Settings(kill_grace=given).kill_grace,
    "patience": patience,
    "wait.sleep": lambda given: Sleep(seconds=given).seconds,
    "wait.approval": lambda given: AwaitApproval(timeout=given).timeout,
    "shell.timeout": lambda given: ShellRun(argv=["ls"], timeout=given).timeout,
    "shell.grace": lambda given: ShellRun(argv=["ls"], grace=given).grace,
    "http.timeout": lambda given: HttpFetch(url="http://x", timeout=given).timeout,
}


@pytest.mark.parametrize("door", DOORS)
def test_each_place_takes_all_forms(door: str) -> None:
    take = DOORS[door]

    taken = [take(given) for given in (90, 90.0, timedelta(seconds=90), "1m30s", "90")]

    assert {read_duration(each) for each in taken} == {timedelta(seconds=90)}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("given", ["5 mins", "", True, float("nan"), [], "99999d"], ids=repr)
def test_each_place_refuses_what_is_no_duration(door: str, given: Any) -> None:
    with pytest.raises((InvalidInput, ValidationError), match=r"must be|should be"):
        DOORS[door](given)


class TestOfARuntime:
    @pytest.mark.parametrize(
        "call",
        [
            lambda runtime, given: runtime.wait("r", given),
            lambda runtime, given: runtime.drain(timeout=given),
            lambda runtime, given: runtime.changes(given),
            lambda runtime, given: runtime.wait_for_value("r", "k", given),
            lambda runtime, given: runtime.kv.set("k", 1, expires_in=given),
            lambda runtime, given: runtime.worker(grace=given).__enter__(),
            lambda runtime, given: runtime.start_workers(1, poll_interval=given),
        ],
    )
    def test_refused_before_anything_is_done(self, call: Callable[..., Any]) -> None:
        with stepwell.connect("memory://", packages=[_package()]) as runtime:
            for given in ("5 mins", -1, True, float("nan")):
                with pytest.raises(InvalidInput, match=r"(timeout|grace|expires_in|poll_interval)"):
                    call(runtime, given)

    def test_text_is_taken(self) -> None:
        with stepwell.connect("memory://", packages=[_package()]) as runtime:
            run = runtime.start_run("p")
            runtime.drain(run.id, timeout="1m")

            assert run.wait("5s").status == "succeeded"
            assert runtime.kv.set("k", 1, expires_in="2d") == 1
            assert runtime.changes("1ms") is False


def test_a_virtual_clock_is_advanced_by_any_form() -> None:
    clock = VirtualClock()

    clock.advance("1h")
    clock.advance(timedelta(minutes=1))
    clock.advance(1)

    assert clock.monotonic() == 3_661
