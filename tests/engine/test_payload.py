from __future__ import annotations

import dataclasses
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict

from stepwell.engine.errors import InvalidPayload
from stepwell.engine.payloads.checks import MAX_DEPTH
from stepwell.engine.payloads.payload import decode, encode, parse


class Model(BaseModel):
    name: str
    values: list[float] = []
    tags: set[str] = set()


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    anything: Any


@dataclasses.dataclass
class Point:
    x: float
    y: Any = None


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def refused(value: Any, **options: Any) -> str:
    with pytest.raises(InvalidPayload) as caught:
        encode(value, "result", **options)
    return str(caught.value)


class TestTaken:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            -(2**70),
            1.5,
            "",
            "ä☃\U0001f600",
            "\0",
            "NaN",
            "Infinity null",
            [],
            {},
            [1, [2, {"a": None}]],
            {"": {"b": [True, False]}},
        ],
        ids=repr,
    )
    def test_plain_values_come_back_as_they_were(self, value: Any) -> None:
        assert decode(encode(value, "result")) == value

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ((1, "a"), '[1,"a"]'),
            (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
            (Point(1, {"k": [2]}), '{"x":1.0,"y":{"k":[2]}}'),
            (Model(name="n", values=[1]), '{"name":"n","values":[1.0],"tags":[]}'),
            ([Model(name="n")], '[{"name":"n","values":[],"tags":[]}]'),
            ({"d": date(2030, 1, 2)}, '{"d":"2030-01-02"}'),
            ({"t": datetime(2030, 1, 2, tzinfo=UTC)}, '{"t":"2030-01-02T00:00:00Z"}'),
            ({"d": timedelta(hours=1)}, '{"d":"PT1H"}'),
            ({"d": Decimal("1.10")}, '{"d":"1.10"}'),
            (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
            (Colour.RED, '"red"'),
            ({"l": Level.LOW}, '{"l":1}'),
            (Path("/a/b"), '"/a/b"'),
        ],
        ids=repr,
    )
    def test_what_pydantic_writes(self, value: Any, text: str) -> None:
        assert encode(value, "result") == text

    def test_set_in_a_model_is_a_list_that_the_model_reads_back(self) -> None:
        model = Model(name="n", tags={"a", "b"})

        assert Model.model_validate_json(encode(model, "result")) == model

    def test_one_value_in_two_places_is_no_cycle(self) -> None:
        shared = [1]

        assert encode({"a": shared, "b": [shared, shared]}, "result") == ('{"a":[1],"b":[[1],[1]]}')

    def test_depth_up_to_the_limit(self) -> None:
        assert decode(encode(nested(MAX_DEPTH), "result")) == nested(MAX_DEPTH)

    def test_size_up_to_the_limit(self) -> None:
        assert encode("x" * 98, "result", limit=100) == '"' + "x" * 98 + '"'


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({1, 2}, "result: a set is not JSON; use a sorted list"),
            ([frozenset()], "result[0]: a frozenset is not JSON; use a sorted list"),
            (
                {"a": [0, b"x"]},
                "result.a[1]: a bytes is not JSON; store bytes as an artifact, or use base64 text",
            ),
            (
                [bytearray()],
                "result[0]: a bytearray is not JSON; store bytes as an artifact, "
                "or use base64 text",
            ),
            (
                {"a": Odd()},
                "result.a: an Odd is not JSON; "
                "return plain values, a pydantic model or a dataclass",
            ),
            (
                Odd,
                "result: a type is not JSON; return plain values, a pydantic model or a dataclass",
            ),
            (
                1j,
                "result: a complex is not JSON; "
                "return plain values, a pydantic model or a dataclass",
            ),
            (
                Point(0, {3}),
                "result.y: {3} would come back as [3]; annotate it with set, or hand over a list",
            ),
            ({1: "a"}, "result: the key 1 is an int; JSON keys are strings"),
            ({"a": {None: 1}}, "result.a: the key None is a NoneType; JSON keys are strings"),
            ({"a": {b"k": 1}}, "result.a: the key b'k' is a bytes; JSON keys are strings"),
        ],
        ids=lambda value: None,
    )
    def test_what_is_not_json(self, value: Any, message: str) -> None:
        assert refused(value) == message

    @pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
    def test_numbers_that_are_none(self, number: str) -> None:
        value = float(number)
        told = f"{number} is not JSON; use None or a string for it"

        assert refused(value) == f"result: {told}"
        assert refused({"a": [1.0, value]}) == f"result.a[1]: {told}"
        assert refused(Point(value)) == f"result.x: {told}"
        assert refused(Model(name="n", values=[0.5, value])) == f"result.values[1]: {told}"
        assert refused([{"m": Model(name="n", values=[value])}]) == f"result[0].m.values[0]: {told}"

    def test_value_that_contains_itself(self) -> None:
        value: dict[str, Any] = {"list": []}
        value["list"].append(value)

        assert refused(value) == "result.list[0]: the value contains itself"

    def test_too_deep(self) -> None:
        message = refused(nested(MAX_DEPTH + 1))

        assert message.startswith("result[0][0]")
        assert message.endswith("nested deeper than 200 levels; flatten the value")

    def test_too_deep_by_far(self) -> None:
        assert "nested deeper than 200 levels" in refused(nested(20_000))

    def test_too_deep_inside_a_model(self) -> None:
        assert "nested deeper than 200 levels" in refused(Holder(anything=nested(MAX_DEPTH)))

    def test_model_that_holds_what_cannot_be_written(self) -> None:
        assert "result: cannot be written as JSON" in refused(Holder(anything=Odd()))

    @pytest.mark.parametrize(
        ("value", "where"),
        [
            ("a\ud800", "result:"),
            (["\udfff"], "result[0]:"),
            ({"a": "\ud800"}, "result.a:"),
            ({"\ud800": 1}, "result: the key:"),
        ],
    )
    def test_lone_surrogates(self, value: Any, where: str) -> None:
        message = refused(value)

        assert message.startswith(where)
        assert "has a lone surrogate; use valid Unicode text" in message
        assert message.isascii()

    def test_over_the_limit_names_the_setting(self) -> None:
        assert refused("x" * 2_000, limit=1_000) == (
            "result: 2,002 bytes of JSON are over the limit of 1,000; store large data as an "
            "artifact, or raise the setting payload_limit"
        )

    def test_limit_is_one_mebibyte_of_bytes(self) -> None:
        assert len(encode("ä" * 524_287, "result").encode()) == 1024 * 1024

        assert "1,048,578 bytes" in refused("ä" * 524_288)

    def test_integer_too_long_to_be_read_back(self) -> None:
        told = "result: holds a number of over 4,300 digits; use a string for it"

        assert refused([10**5_000]) == told
        assert refused({"a": -(10**4_300)}) == told
        for value in (10**4_299, "1" * 5_000, ["1" * 5_000, 1]):
            assert decode(encode(value, "result")) == value

    def test_path_that_is_of_no_file_system(self) -> None:
        assert refused(PurePosixPath("/a")).startswith("result: a PurePosixPath is not JSON")


class TestParse:
    @pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, "ä"]}', b'{"a": "\xc3\xa4"}', " 7 "])
    def test_strict_json(self, text: str | bytes) -> None:
        assert parse(text, "input") == decode(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"a": 1,\n "b": }', "input: not JSON: Expecting value at line 2, column 7"),
            ("", "input: not JSON: Expecting value at line 1, column 1"),
            (
                "{'a': 1}",
                "input: not JSON: Expecting property name enclosed in double quotes "
                "at line 1, column 2",
            ),
            ('{"a": 1} x', "input: not JSON: Extra data at line 1, column 10"),
            ('{"x": {"a": 1, "b": 2, "a": 3}}', "input: the key 'a' is given twice"),
            ("[NaN]", "input: NaN is not JSON"),
            ("-Infinity", "input: -Infinity is not JSON"),
        ],
        ids=lambda value: None,
    )
    def test_refused(self, text: str, message: str) -> None:
        with pytest.raises(InvalidPayload) as caught:
            parse(text, "input")

        assert str(caught.value) == message

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("[" * 201 + "]" * 201, "nested deeper than 200 levels"),
            ("[" * 100_000 + "]" * 100_000, "nested deeper than 200 levels"),
            ('["\\ud800"]', "input[0]: '\\ud800' has a lone surrogate"),
            ("1" * 5_000, "4300 digits"),
            (b"\xff", "invalid start byte"),
            ("1e999", "input: inf is not JSON"),
        ],
        ids=lambda value: None,
    )
    def test_refused_in_part(self, text: str | bytes, part: str) -> None:
        with pytest.raises(InvalidPayload) as caught:
            parse(text, "input")

        assert part in str(caught.value)
        assert str(caught.value).startswith("input")
        assert len(str(caught.value)) < 500
