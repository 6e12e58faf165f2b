from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from stepwell.engine.durations import FORMS, duration_text
from stepwell.engine.errors import InvalidInput, InvalidSettings
from stepwell.engine.model import Queue
from stepwell.engine.queue_rules import check_queue
from stepwell.engine.settings import Settings

NUMBERS = [field for field in dataclasses.fields(Settings) if "low" in field.metadata]


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_ends_of_the_range(field: dataclasses.Field[Any]) -> None:
    low, high = field.metadata["low"], field.metadata["high"]

    for value in (low, high, str(low)):
        assert getattr(Settings.of({field.name: value}), field.name) == float(value)
    for value in (low - 1, high + 1, str(high + 1)):
        with pytest.raises(InvalidSettings) as caught:
            Settings.of({field.name: value})
        span = f"from {low:g} to {high:g} {field.metadata['unit']}"
        if field.metadata["unit"] == "seconds":
            ends = (duration_text(timedelta(seconds=end)) for end in (low, high))
            span = f"a duration from {' to '.join(ends)} ({FORMS})"
        assert str(caught.value) == f"settings.{field.name}: must be {span}, got {value!r}"


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
@pytest.mark.parametrize("value", [None, "many", True, [], float("nan")], ids=repr)
def test_what_is_no_number(field: dataclasses.Field[Any], value: Any) -> None:
    with pytest.raises(InvalidSettings, match=rf"^settings\.{field.name}: must be .* got "):
        Settings.of({field.name: value})


def test_every_default_is_within_its_range_and_documented() -> None:
    for field in dataclasses.fields(Settings):
        assert field.metadata["text"]
    assert Settings().as_dict() == {
        field.name: field.default for field in dataclasses.fields(Settings)
    }


def test_part_of_a_whole_number() -> None:
    with pytest.raises(InvalidSettings, match=r"must be a whole number of steps, got 2\.5"):
        Settings(threads=2.5)  # type: ignore[arg-type]  # that is the point


def test_duration_for_seconds_only() -> None:
    assert Settings(lease=timedelta(minutes=1)).lease == 60
    assert Settings(lease="1m", grace="250ms").as_dict() == Settings(lease=60, grace=0.25).as_dict()
    with pytest.raises(InvalidSettings, match="whole number of steps"):
        Settings.of({"threads": timedelta(seconds=8)})


def test_unknown_name_with_the_nearest() -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.of({"leese": 3})

    assert str(caught.value) == "settings.leese: unknown; did you mean 'lease'?"


def test_durability_is_one_of_two() -> None:
    assert Settings(durability="relaxed").durability == "relaxed"
    with pytest.raises(InvalidSettings, match="must be 'full' or 'relaxed', got 'fast'"):
        Settings.of({"durability": "fast"})


class TestQueueLimits:
    @pytest.mark.parametrize(
        "queue",
        [
            Queue("q"),
            Queue("q", max_in_flight=1),
            Queue("q", rate_limit=0.01, rate_period=timedelta(days=31), burst=1),
            Queue("q", max_in_flight=1_000_000, rate_limit=10_000_000, burst=10_000_000),
        ],
    )
    def test_in_range(self, queue: Queue) -> None:
        assert check_queue(queue) is queue

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"max_in_flight": 0},
                "max_in_flight: must be a whole number from 1 to 1000000, got 0",
            ),
            ({"max_in_flight": True}, "max_in_flight: must be a whole number"),
            ({"max_in_flight": 1.5}, "max_in_flight: must be a whole number"),
            ({"rate_limit": 0}, "rate_limit: must be a number over 0 and at most 10000000, got 0"),
            ({"rate_limit": "5"}, "rate_limit: must be a number"),
            ({"rate_limit": float("nan")}, "rate_limit: must be a number"),
            ({"rate_limit": True}, "rate_limit: must be a number"),
            ({"burst": 3}, "burst: needs a rate_limit"),
            ({"rate_limit": 1, "burst": 0}, "burst: must be a whole number"),
            ({"rate_period": timedelta(0)}, "rate_period: must be a duration over 0s"),
            ({"rate_period": timedelta(days=32)}, "up to 31d"),
            ({"rate_period": "1 min"}, "rate_period: must be a duration"),
        ],
        ids=lambda value: None,
    )
    def test_out_of_range(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_queue(Queue("mail", **fields))

        assert str(caught.value).startswith("queue 'mail'.")
        assert message in str(caught.value)

    def test_what_is_no_queue(self) -> None:
        with pytest.raises(InvalidInput, match=r"queues: must hold Queue\(...\), got 'mail'"):
            check_queue("mail")  # type: ignore[arg-type]  # that is the point
        with pytest.raises(InvalidInput, match=r"queue\.name: must have 1 to 200 bytes"):
            check_queue(Queue(""))
