"""The onboarding, whose days pass at once on a virtual clock."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from samples.onboarding.onboarding import DAY, Member, Outcome, main, onboarding, welcome
from stepwell import RunHandle, Runtime, VirtualClock, connect
from stepwell.testing import CrashEverywhere

ANN = Member(name="Ann", email="ann@example.com")
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def runtime(clock: VirtualClock) -> Iterator[Runtime]:
    with connect("memory://", packages=[onboarding], clock=clock) as runtime:
        yield runtime


@pytest.fixture
def run(runtime: Runtime, capsys: pytest.CaptureFixture[str]) -> RunHandle[Outcome]:
    """A run that has sent its welcome and waits."""
    run = runtime.start_run(welcome, ANN)
    runtime.run_once()
    return run


def subjects(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix("mail to ann@example.com: ") for line in lines]


def test_who_confirms_within_the_day_is_not_reminded(
    runtime: Runtime,
    clock: VirtualClock,
    run: RunHandle[Outcome],
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock.advance(DAY - SECOND)
    assert runtime.run_once().processed == 0
    runtime.send(run.id, "confirmed", payload=True)
    runtime.run_once()

    assert run.result() == Outcome(confirmed=True, reminders=0)
    assert subjects(capsys) == ["Welcome, Ann! Please confirm.", "Your account is open."]
    assert runtime.records("onboarding", "members") == {
        ANN.email: {"name": "Ann", "confirmed": True}
    }


def test_after_a_day_of_silence_comes_one_reminder(
    runtime: Runtime,
    clock: VirtualClock,
    run: RunHandle[Outcome],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert runtime.step(run.id, "welcome").status == "waiting"
    clock.advance(DAY)
    runtime.run_once()
    clock.advance(DAY)
    runtime.run_once()
    runtime.send(run.id, "confirmed", payload=True)
    runtime.run_once()

    assert run.result() == Outcome(confirmed=True, reminders=1)
    assert subjects(capsys) == [
        "Welcome, Ann! Please confirm.",
        "Ann, you have not confirmed yet.",
        "Your account is open.",
    ]


def test_who_never_confirms_is_let_go(
    runtime: Runtime,
    clock: VirtualClock,
    run: RunHandle[Outcome],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for wait in (DAY, 6 * DAY):
        clock.advance(wait)
        runtime.run_once()

    assert run.result() == Outcome(confirmed=False, reminders=1)
    assert subjects(capsys)[-1] == "Your registration has lapsed."


def test_the_program_goes_through_two_days(capsys: pytest.CaptureFixture[str]) -> None:
    main()

    assert capsys.readouterr().out.splitlines()[-1] == "confirmed=True reminders=1"


def test_a_crash_anywhere_changes_nothing_that_is_stored(crash_everywhere: CrashEverywhere) -> None:
    survived = crash_everywhere(welcome, ANN, packages=[onboarding])

    assert len(survived.points) > 10
