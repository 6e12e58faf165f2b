"""Checkpoints as text: read strictly, and brought up to date version by version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stepwell import (
    CheckpointCorrupt,
    CheckpointVersionError,
    InvalidInput,
    dump_checkpoint,
    parse_checkpoint,
)
from stepwell.engine.checkpoints import text
from stepwell.engine.checkpoints.checkpoint import CHECKPOINT_VERSION, Checkpoint
from stepwell.engine.checkpoints.text import upcast
from stepwell.testing.checkpointers.case import checkpoint, full, operation


def text_with(**fields: Any) -> str:
    return json.dumps({**json.loads(dump_checkpoint(full())), **fields})


def test_what_is_written_is_read() -> None:
    assert parse_checkpoint(dump_checkpoint(full())) == full()
    assert parse_checkpoint(dump_checkpoint(full()).encode()) == full()


def test_the_text_is_that_of_the_model() -> None:
    text = dump_checkpoint(full())

    assert json.loads(text) == json.loads(full().model_dump_json())
    assert Checkpoint.model_validate_json(text) == full()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "expected a JSON object, found list"),
        ("null", "expected a JSON object, found NoneType"),
        ('"text"', "expected a JSON object, found str"),
        ("{}", "schema_version must be an integer, found None"),
        (text_with(schema_version="1"), "schema_version must be an integer, found '1'"),
        (text_with(schema_version=True), "schema_version must be an integer, found True"),
        (text_with(schema_version=0), "never a schema_version 0"),
        (text_with(schema_version=-1), "never a schema_version -1"),
        (text_with(inputs=float("nan")), "NaN is not JSON"),
        (text_with(inputs=float("-inf")), "-Infinity is not JSON"),
        (text_with(inputs="\ud800"), "surrogates"),
        ('{"schema_version": 1, "schema_version": 1}', "key 'schema_version' is given twice"),
        (text_with(status="asleep"), "status: .*'asleep'"),
        (text_with(operations={}), "operations: "),
        (text_with(operations=[{"occurrence": 1}]), r"operations\.0\.name: "),
        (text_with(wait={"kind": "sleep"}), r"wait\.operation: "),
        (text_with(start_time="2031-05-01T00:00:00"), "start_time: .*timezone"),
        (b"\xff\xfe", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_damaged_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(CheckpointCorrupt, match=rf"^mine\.json: damaged: .*{reason}"):
        parse_checkpoint(text, "mine.json")


def test_a_newer_version_is_refused_whatever_else_is_in_it() -> None:
    with pytest.raises(CheckpointVersionError, match=r"^mine: .*schema_version 2,.*knows 1;"):
        parse_checkpoint('{"schema_version": 2, "operations": "elsewhere"}', "mine")


def test_a_value_as_deep_as_payloads_may_be() -> None:
    value: Any = 0
    for _ in range(198):
        value = [value]
    deep = checkpoint(inputs=value, operations=[operation(1, value=value)])

    assert parse_checkpoint(dump_checkpoint(deep)) == deep


def test_an_operation_id_is_short_text() -> None:
    for name in ("x" * 1_001, "a\0b", "\ud800"):
        with pytest.raises(InvalidInput, match="operation"):
            dump_checkpoint(checkpoint(operations=[operation(1, name=name)]))


def test_names_that_end_like_another_s_id_are_refused_together() -> None:
    twins = [operation(2, name="a"), operation(1, name="a#2")]

    with pytest.raises(InvalidInput, match="two have the id 'a#2'"):
        dump_checkpoint(checkpoint(operations=twins))


class TestUpcast:
    @pytest.fixture(autouse=True)
    def three_versions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text, "CHECKPOINT_VERSION", CHECKPOINT_VERSION + 2)
        steps = {
            CHECKPOINT_VERSION: lambda old: {**old, "way": [*old["way"], "second"]},
            CHECKPOINT_VERSION + 1: lambda old: {**old, "way": [*old["way"], "third"]},
        }
        monkeypatch.setattr(text, "UPCASTERS", steps)

    def test_steps_go_in_order(self) -> None:
        document = {"schema_version": CHECKPOINT_VERSION, "way": ["first"]}

        newest = upcast(document)

        assert newest == {
            "schema_version": CHECKPOINT_VERSION + 2,
            "way": ["first", "second", "third"],
        }
        assert document["way"] == ["first"]

    def test_the_present_version_stays(self) -> None:
        document = {"schema_version": CHECKPOINT_VERSION + 2, "way": []}

        assert upcast(document) == document

    def test_what_is_not_of_its_version_is_damaged(self) -> None:
        with pytest.raises(CheckpointCorrupt, match="KeyError"):
            upcast({"schema_version": CHECKPOINT_VERSION})

    def test_a_newer_version_is_refused(self) -> None:
        with pytest.raises(CheckpointVersionError):
            upcast({"schema_version": CHECKPOINT_VERSION + 3})
