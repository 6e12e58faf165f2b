from __future__ import annotations

import pytest

from stepwell.engine.errors import InvalidInput
from stepwell.engine.ids import (
    MAX_ID_BYTES,
    artifact_id,
    check_id,
    child_id,
    jitter,
    new_run_id,
    new_worker_id,
)


def test_run_ids_sort_by_time_and_are_unlike() -> None:
    micros = [0, 1_000, 999_999_999, 1_900_000_000_000_000, 1_900_000_000_001_000]

    ids = [new_run_id(moment) for moment in micros]

    assert ids == sorted(ids)
    assert {len(run_id) for run_id in ids} == {18}
    assert len({new_run_id(0) for _ in range(1_000)}) == 1_000


def test_every_made_id_can_be_an_id() -> None:
    for made in (new_run_id(1), new_worker_id(), artifact_id("r", "s", "n"), child_id("p", "c")):
        assert check_id(made, "id") == made


def test_worker_ids_are_unlike() -> None:
    assert len({new_worker_id() for _ in range(50)}) == 50


def test_artifact_id_is_the_same_for_every_attempt_and_unlike_others() -> None:
    assert artifact_id("r", "s", "n") == artifact_id("r", "s", "n")
    ids = {artifact_id(*name) for name in (("r", "s", "n"), ("rs", "", "n"), ("r", "sn", ""))}
    assert len(ids) == 3


def test_child_id_is_readable_or_short() -> None:
    assert child_id("scan", "file:1") == "scan/file:1"
    long = child_id("p" * 198, "file:1")
    assert len(long.encode()) <= MAX_ID_BYTES
    assert long.endswith("/file:1")
    assert long != child_id("p" * 199, "file:1")


def test_jitter_is_a_fraction() -> None:
    assert all(0 <= jitter() < 1 for _ in range(100))


@pytest.mark.parametrize(
    "value", ["a", "price:pen", "a b", "Straße", "日本", "x" * 200, "ä" * 100, "../x"]
)
def test_ids_that_can_be(value: str) -> None:
    assert check_id(value, "id") == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "id: must have 1 to 200 bytes, got an empty string"),
        ("x" * 201, f"id: must have 1 to 200 bytes, got 201 bytes ({'x' * 30!r}…)"),
        ("ä" * 101, f"id: must have 1 to 200 bytes, got 202 bytes ({'ä' * 30!r}…)"),
        ("a\nb", r"id: 'a\nb' has the unprintable character '\n'"),
        ("a\0", r"id: 'a\x00' has the unprintable character '\x00'"),
        ("\x7f", r"id: '\x7f' has the unprintable character '\x7f'"),
        ("a\ud800", r"id: 'a\ud800' has a lone surrogate; use valid Unicode text"),
        (None, "id: must be a string, got NoneType"),
        (7, "id: must be a string, got int"),
        (b"a", "id: must be a string, got bytes"),
    ],
    ids=lambda value: None,
)
def test_ids_that_cannot_be(value: object, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_id(value, "id")

    assert str(caught.value) == message
