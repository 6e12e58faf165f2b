"""Values of declared types, one kind of loss after the other: taken whole, or refused with why."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AnyUrl,
    BaseModel,
    Field,
    HttpUrl,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    field_validator,
)

from stepwell.engine.errors import InvalidPayload
from stepwell.engine.payloads.payload import encode
from stepwell.engine.payloads.types import PayloadType, payload_type
from tests.engine.payload_models import (
    Aliased,
    Anything,
    Base,
    Box,
    Checked,
    Colour,
    Computed,
    Excluded,
    Hidden,
    HiddenBytes,
    Holder,
    Lossy,
    Odd,
    Odder,
    Open,
    Pair,
    Point,
    Private,
    Same,
    Shown,
    Swapped,
    Tagged,
    Wider,
    Written,
    new,
)

LIMIT = 1 << 20


def read_back(type_: Any, value: Any, **options: Any) -> Any:
    of = payload_type(type_)
    return of.read(of.write(value, "input", LIMIT, **options), "input")


def refusal(type_: Any, value: Any, **options: Any) -> str:
    with pytest.raises(InvalidPayload) as caught:
        payload_type(type_).write(value, "input", LIMIT, **options)
    return str(caught.value)


class TestTaken:
    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            (Aliased, new(Aliased, **{"in": 1, "both": 3, "path": [4], "that": 5}, two=2)),
            (Computed, Computed(a=3)),
            (Written, new(Written, inner="[1,2]", number=7)),
            (Excluded, new(Excluded, kept=3)),
            (Shown, Shown(word=SecretStr("hunter2"))),
            (Anything, Anything(v={"a": [1, None, {"b": "c"}]})),
            (Open, new(Open, more=[1])),
            (Odder, new(Odder, keys={1: "a"}, colours={Colour.RED: 1}, numbers={1, 2})),
            (
                Odder,
                new(
                    Odder,
                    site=AnyUrl("ftp://a/b"),
                    page=HttpUrl("https://c"),
                    net=ip_network("10.0.0.0/8"),
                ),
            ),
            (Holder, Holder(base=Base(a=5), bases=[Base()])),
            (Box[Wider], Box[Wider](item=Wider())),
            (Point, Point(3)),
            (Tagged, Tagged(["a"])),
            (set[int], {1, 2}),
            (dict[int, str], {1: "a"}),
            (dict[Colour, date], {Colour.RED: date(2030, 1, 2)}),
            (IPv6Address, IPv6Address("::1")),
            (AnyUrl, AnyUrl("https://a/")),
            (bytes, b"text"),
            (deque[int], deque([1])),
            (Pair, Pair(1, "b")),
            (tuple[int, str], (1, "b")),
            (timedelta, timedelta(days=-1, microseconds=3)),
            (Decimal, Decimal("1.10")),
            (int | str, "1"),
            (date | datetime, datetime(2030, 1, 1, tzinfo=UTC)),
            (list[Base | None], [Base(), None]),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("strict", [False, True])
    def test_what_comes_back_equal(self, type_: Any, value: Any, strict: bool) -> None:
        assert read_back(type_, value, strict=strict) == value

    def test_repeated_hour_and_zone_with_whole_minutes(self) -> None:
        autumn = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)

        back = read_back(datetime, autumn)

        assert (back.timestamp(), back.hour) == (autumn.timestamp(), 2)

    def test_private_lock_is_no_part_of_the_value(self) -> None:
        assert read_back(Private, Private())._note == ""

    @pytest.mark.parametrize(
        ("type_", "document", "read"),
        [
            (Base, {"a": "5", "unknown": 1}, Base(a=5)),
            (Aliased, {"both": 3, "two": 2}, new(Aliased, both=3, two=2)),
            (Holder, {"base": Base(a=4)}, Holder(base=Base(a=4))),
            (date, "2030-01-02", date(2030, 1, 2)),
            (dict[str, date], {"on": "2030-01-02"}, {"on": date(2030, 1, 2)}),
            (Point, {"x": "1"}, Point(1)),
        ],
        ids=repr,
    )
    def test_json_stands_for_what_it_is_read_as(self, type_: Any, document: Any, read: Any) -> None:
        assert read_back(type_, document) == read

    @pytest.mark.parametrize(
        ("type_", "value", "read"),
        [(Base, {"a": 5}, Base(a=5)), (Colour, "red", Colour.RED), (float, 1, 1.0)],
        ids=repr,
    )
    def test_of_results_in_the_form_that_the_type_writes(
        self, type_: Any, value: Any, read: Any
    ) -> None:
        assert read_back(type_, value, strict=True) == read

    def test_tuple_outside_of_models_may_be_a_list(self) -> None:
        assert read_back(list[Any], [(1, 2)], strict=True) == [[1, 2]]
        assert read_back(Sequence[int], (1, 2), strict=True) == [1, 2]


class TestRefused:
    @pytest.mark.parametrize(
        ("type_", "value", "told"),
        [
            (
                Hidden,
                Hidden(word=SecretStr("hunter2")),
                "input.word: a SecretStr is written as stars; to store it in full, say so on its "
                "field with a serializer that reveals it, or hand over a reference to it",
            ),
            (
                HiddenBytes,
                HiddenBytes(word=SecretBytes(b"hunter2")),
                "input.word: a SecretBytes is written as stars",
            ),
            (list[SecretStr], [SecretStr("x")], "input[0]: a SecretStr is written as stars"),
            (
                Excluded,
                new(Excluded, left=3),
                "input.left: is not stored (excluded, private",
            ),
            (Holder, Holder(base=Wider()), "input.base: Wider(a=1, b=2) would come back as Base("),
            (list[Holder], [Holder(base=Base(), bases=[Base(), Wider()])], "input[0].bases[1]: "),
            (Box[Base], Box[Base](item=Wider()), "input.item: Wider(a=1, b=2) would come back as"),
            (
                Base,
                Wider(),
                "input: Wider(a=1, b=2) would come back as Base(a=1); annotate it with",
            ),
            (Base, Computed(a=7), "input: Computed(a=7, double=14) would come back as Base(a=7)"),
            (
                Anything,
                Anything(v={"a": {1}}),
                "input.v.a: {1} would come back as [1]; annotate it with set, or hand over a list",
            ),
            (Anything, Anything(v=Base()), "input.v: Base(a=1) would come back as {'a': 1}"),
            (Anything, Anything(v=(1, 2)), "input.v: (1, 2) would come back as [1, 2]"),
            (
                Anything,
                Anything(v={1: 2}),
                "input.v.1: the key 1 would come back as text; annotate it, or use text",
            ),
            (
                Open,
                new(Open, on=date(2030, 1, 2)),
                "input.on: datetime.date(2030, 1, 2) would come back",
            ),
            (
                datetime,
                datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
                "give the time in UTC, or with an offset of whole minutes",
            ),
            (time, time(12, tzinfo=timezone(timedelta(seconds=3605))), "input: datetime.time(12"),
            (Lossy, Lossy(number=7), "input.number: 7 would come back as 0; look at the aliases"),
            (Swapped, Swapped(a=1, b=2), "input.a: 2 would come back as 1; look at the aliases"),
            (Checked, Checked.model_construct(n=1), "input.n: 1 would come back as 2"),
            (Same, new(Same, n=1, more="x"), "input.more: is not stored"),
            (Tagged, Tagged(), "input.tags: () would come back as []; annotate it with tuple"),
            (Odd, Odd.PAIR, "input: input should be (1, 2), got [1, 2]"),
            (bytes, b"\xff", "input: cannot be written as JSON: invalid utf-8"),
            (Decimal, Decimal("NaN"), "input: input should be a finite number"),
            (list[float], [float("nan")], "input[0]: nan is not JSON"),
            (Base, Base.model_construct(a="x"), "input.a: input should be a valid integer"),
            (Base, Base.model_construct(a=None), "input.a: input should be a valid integer, got N"),
            (Base, {"b": {1}, "a": {2}}, "input.a: input should be a valid integer, got [2]"),
        ],
        ids=lambda value: None,
    )
    def test_what_would_come_back_otherwise(self, type_: Any, value: Any, told: str) -> None:
        message = refusal(type_, value)

        assert told in message
        assert message.startswith("input")
        assert "\n" not in message
        assert "hunter2" not in message

    def test_attributes_of_the_class_itself(self) -> None:
        noted, moved = Private(), Point(1)
        noted._note, moved.also = "more", 5

        assert refusal(Private, noted).startswith("input._note: is not stored")
        assert refusal(Point, moved).startswith("input.also: is not stored")

    @pytest.mark.parametrize(
        ("type_", "value", "told"),
        [
            (int, "abc", "got 'abc'; it is annotated int"),
            (int, "5", "result: '5' would come back as 5; annotate it with str, or hand over an"),
            (Base, {"a": "5"}, "it is annotated Base"),
            (dict[str, int], {"a": None}, "result.a: input should be a valid integer, got None"),
            (list[Base], [Wider()], "result[0]: Wider(a=1, b=2) would come back as Base(a=1)"),
            (int | None, [], "it is annotated int | None"),
        ],
        ids=lambda value: None,
    )
    def test_results_of_another_type(self, type_: Any, value: Any, told: str) -> None:
        with pytest.raises(InvalidPayload) as caught:
            payload_type(type_).write(value, "result", LIMIT, strict=True)

        assert told in str(caught.value)

    def test_serializer_and_validator_that_raise(self) -> None:
        def break_(value: Any) -> Any:
            raise RuntimeError(f"no {value}")

        class Unwritten(BaseModel):
            n: Annotated[int, PlainSerializer(break_)]

        class Unread(BaseModel):
            n: int

            check = field_validator("n")(break_)

        assert "input: cannot be written as JSON" in refusal(Unwritten, Unwritten(n=1))
        told = refusal(Unread, Unread.model_construct(n=1))
        assert told.startswith("input: cannot be read back: RuntimeError('no 1')")

    def test_limit_depth_and_digits_hold_for_every_type(self) -> None:
        deep: Any = 1
        for _ in range(250):
            deep = [deep]

        assert "nested deeper than 200 levels" in refusal(Anything, Anything(v=deep))
        assert "over 4,300 digits" in refusal(list[int], [10**5_000])
        with pytest.raises(InvalidPayload, match="over the limit of 10; "):
            payload_type(Anything).write(Anything(v="x" * 20), "input", 10)


class TestWithoutADeclaredType:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (new(Aliased, **{"in": 1}), '{"one":1,"two":0,"three":0,"four":0,"five":0}'),
            ({"a": [Computed(a=1), Point(2)]}, '{"a":[{"a":1},{"x":2,"also":0}]}'),
            ([Shown(word=SecretStr("s"))], '[{"word":"s"}]'),
            ({"at": time(1, 2), "of": (Colour.RED,)}, '{"at":"01:02:00","of":["red"]}'),
        ],
        ids=repr,
    )
    def test_taken(self, value: Any, text: str) -> None:
        assert encode(value, "record") == text

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({"a": [Hidden(word=SecretStr("x"))]}, "record.a[0].word: a SecretStr is written as"),
            (SecretStr("x"), "record: a SecretStr is not JSON"),
            ([Excluded(left=1)], "record[0].left: is not stored"),
            ({"h": Holder(base=Wider())}, "record.h.base: Wider(a=1, b=2) would come back as"),
            (Anything(v={1}), "record.v: {1} would come back as [1]"),
            (
                {"t": datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam"))},
                "record.t: datetime.datetime(1900, 1, 1",
            ),
            (Decimal("NaN"), "record: input should be a finite number"),
        ],
        ids=lambda value: None,
    )
    def test_refused(self, value: Any, told: str) -> None:
        with pytest.raises(InvalidPayload) as caught:
            encode(value, "record")

        assert str(caught.value).startswith(told)


class TestRead:
    def test_what_was_written_by_aliases_is_read(self) -> None:
        class Old(BaseModel):
            order_id: str = Field(alias="orderId")
            lines: int = Field(0, validation_alias="lineCount")

        of = payload_type(Old)

        assert of.read('{"orderId":"o","lineCount":3}', "input") == new(
            Old, orderId="o", lineCount=3
        )
        assert of.read('{"order_id":"o","lines":3}', "input") == new(Old, orderId="o", lineCount=3)

    def test_unions_are_read_in_their_order(self) -> None:
        payload_type(date | datetime)  # which is equal to the other one

        found = payload_type(datetime | date).read('"2030-01-01"', "input")

        assert type(found) is type(PayloadType(datetime | date).read('"2030-01-01"', "input"))


class TestPlainTypes:
    """Whose values are written without being read back, as their fields say enough."""

    class Order(BaseModel):
        id: str
        note: str | None = None
        items: list[str] = []
        prices: dict[str, float] = {}

    def was_read(self, type_: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
        of, looks = PayloadType(type_), []
        monkeypatch.setattr(of, "_check", lambda *_: looks.append(1))
        of.write(value, "input", LIMIT)
        return bool(looks)

    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            (Order, Order(id="a")),
            (Order, Order(id="a", note="b", items=["c"], prices={"d": 1.5})),
        ],
        ids=repr,
    )
    def test_need_no_look(self, type_: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert not self.was_read(type_, value, monkeypatch)

    @pytest.mark.parametrize(
        "value",
        [
            Order.model_construct(id=5),
            Order.model_construct(note="no id"),
            Order.model_construct(id="a", note=None, items=["b", 1], prices={}),
            Order.model_construct(id="a", note=None, items=("b",), prices={}),
            Order.model_construct(id="a", note=None, items=[], prices={1: 1.5}),
            Order.model_construct(id="a", note=None, items=[], prices={"a": "b"}),
            Order(id="a").model_copy(update={"more": 1}),
        ],
        ids=repr,
    )
    def test_values_with_something_else_in_their_fields_do(
        self, value: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.was_read(self.Order, value, monkeypatch)

    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            (Aliased, new(Aliased)),
            (Excluded, new(Excluded)),
            (Holder, Holder(base=Base())),
            (Anything, Anything()),
            (Private, Private()),
            (Open, new(Open)),
            (Same, new(Same, n=1)),
            (Checked, Checked(n=1)),
            (Base, Wider()),
        ],
        ids=repr,
    )
    def test_other_types_do(self, type_: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.was_read(type_, value, monkeypatch)

    def test_not_a_number_is_seen_all_the_same(self) -> None:
        order = self.Order(id="a", prices={"b": float("nan")})

        assert refusal(self.Order, order) == (
            "input.prices.b: nan is not JSON; use None or a string for it"
        )
