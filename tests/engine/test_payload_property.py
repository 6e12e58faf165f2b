"""Generated types and values: what is taken is equal when it is read, and is refused otherwise."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NamedTuple, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    create_model,
)
from typing_extensions import TypedDict

from stepwell.engine.errors import InvalidPayload
from stepwell.engine.payloads.payload import encode
from stepwell.engine.payloads.types import PayloadType, payload_type

LIMIT = 1 << 20
GENERATED = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Base(BaseModel):
    n: int = 0


class Wider(Base):
    more: str = "more"


class Pair(NamedTuple):
    left: int
    right: str = "right"


Revealed = Annotated[
    SecretStr, PlainSerializer(lambda secret: secret.get_secret_value(), when_used="json")
]
ZONES = [UTC, timezone(timedelta(hours=-3, minutes=-30)), ZoneInfo("Europe/Berlin"), None]

# As plain values, which type checkers do not take for annotations.
LIST, TUPLE, DICT, SET, FROZENSET = cast("tuple[Any, ...]", (list, tuple, dict, set, frozenset))
MAKE_TYPED_DICT: Any = TypedDict

# A type, and a strategy for values of it.
Typed = tuple[Any, st.SearchStrategy[Any]]

_numbers = itertools.count()


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def zoned(zones: list[Any]) -> st.SearchStrategy[datetime]:
    return st.builds(
        lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
        st.datetimes().filter(lambda moment: 1990 < moment.year < 2060),
        st.sampled_from(zones),
        st.integers(0, 1),
    )


LEAVES: list[Typed] = [
    (str, texts()),
    (int, st.integers(-(2**70), 2**70)),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (None, st.none()),
    (date, st.dates()),
    (datetime, zoned(ZONES)),
    (time, st.times()),
    (timedelta, st.timedeltas(timedelta(days=-999), timedelta(days=999))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    (UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (bytes, texts().map(str.encode)),
    (Literal["a", 1], st.sampled_from(["a", 1])),
    (IPv4Address, st.ip_addresses(v=4)),
    (Pair, st.builds(Pair, st.integers(), texts())),
    (Revealed, texts().map(SecretStr)),
]
KEYS: list[Typed] = [LEAVES[0], LEAVES[1], LEAVES[11], LEAVES[10]]
# What JSON, or the type, does not carry: some of these values must be refused.
HAZARDS: list[Typed] = [
    (SecretStr, texts().map(SecretStr)),
    (SecretBytes, texts().map(lambda text: SecretBytes(text.encode()))),
    (datetime, zoned([timezone(timedelta(hours=1, seconds=5)), ZoneInfo("UTC")])),
    (Base, st.builds(Wider, n=st.integers(0, 3))),
    (
        Any,
        st.sampled_from(
            [{1}, Base(n=1), (1, 2), date(2030, 1, 1), {1: 2}, [Pair(1)], {"a": {b"b"}}, "", [1]]
        ),
    ),
    (Decimal, st.sampled_from([Decimal("NaN"), Decimal("1.10")])),
    (float, st.sampled_from([float("nan"), float("inf"), 1.5])),
    (int, st.sampled_from(["not a number", None, "5", 1.0, True, 7])),
    (str, st.sampled_from([Colour.RED, 5, "a\ud800", "fine"])),
    (date | datetime, st.one_of(st.dates(), zoned([None]))),
    (str | UUID, st.one_of(st.uuids().map(str), st.uuids())),
    (bytes, st.binary(max_size=3)),
]

ALIASES: list[Callable[[str], dict[str, Any]]] = [
    lambda _: {},
    lambda name: {"alias": f"{name}Alias"},
    lambda name: {"validation_alias": f"{name}In"},
    lambda name: {"serialization_alias": f"{name}Out"},
    lambda name: {"validation_alias": f"{name}In", "serialization_alias": f"{name}Out"},
    lambda name: {"validation_alias": AliasPath(f"{name}In", 0)},
    lambda name: {"validation_alias": AliasChoices(f"{name}In", f"{name}Also")},
]


@st.composite
def containers(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    of, values = draw(inner)
    key, keys = draw(st.sampled_from(KEYS))
    made: Typed = draw(
        st.sampled_from(
            [
                (LIST[of], st.lists(values, max_size=3)),
                (TUPLE[of, ...], st.lists(values, max_size=3).map(tuple)),
                (TUPLE[of, int], st.tuples(values, st.integers())),
                (DICT[key, of], st.dictionaries(keys, values, max_size=3)),
                (SET[key], st.sets(keys, max_size=3)),
                (FROZENSET[key], st.frozensets(keys, max_size=3)),
                (of | None if of is not None else None, st.one_of(st.none(), values)),
                (list[int] | str, st.one_of(st.lists(st.integers(), max_size=2), texts())),
            ]
        )
    )
    return made


@st.composite
def records(draw: st.DrawFn, inner: st.SearchStrategy[Typed], hazards: bool) -> Typed:
    fields = draw(st.lists(inner, min_size=1, max_size=4))
    names = [f"f{place}" for place in range(len(fields))]
    values = st.fixed_dictionaries(dict(zip(names, (of[1] for of in fields), strict=True)))
    label = f"Generated{next(_numbers)}"
    shape = draw(st.sampled_from(["model", "dataclass", "typeddict"]))
    types = dict(zip(names, (of[0] for of in fields), strict=True))
    if shape == "typeddict":
        return MAKE_TYPED_DICT(label, types), values
    if shape == "dataclass":
        made = dataclasses.make_dataclass(label, types.items(), eq=draw(st.booleans()))
        return made, values.map(lambda given: made(**given))
    described: dict[str, Any] = {}
    for name, type_ in types.items():
        options = draw(st.sampled_from(ALIASES))(name)
        if hazards and draw(st.integers(0, 5)) == 0:
            options["exclude"] = True
        if draw(st.booleans()):
            options["default"] = None
        described[name] = (Annotated[type_, Field(**options)], options.pop("default", ...))
    config = ConfigDict(extra=draw(st.sampled_from(["ignore", "forbid"])))
    model = create_model(label, __config__=config, **described)
    return model, values.map(lambda given: model.model_construct(**given))


def typed(leaves: list[Typed], *, hazards: bool) -> st.SearchStrategy[Typed]:
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(containers(inner), records(inner, hazards)),
        max_leaves=5,
    )


def form(value: Any, *, exact: bool = False) -> Any:
    """What two values have in common that are the same.

    `exact` inside of models and dataclasses, outside of which a tuple may be a list.
    """
    if isinstance(value, BaseModel):
        inside = {name: form(item, exact=True) for name, item in value.__dict__.items()}
        return type(value).__name__, sorted(inside.items())
    if dataclasses.is_dataclass(value):
        inside = {name: form(item, exact=True) for name, item in vars(value).items()}
        return type(value).__name__, sorted(inside.items())
    if isinstance(value, dict):
        items = ((form(key), form(item, exact=exact)) for key, item in value.items())
        return "dict", sorted(items, key=repr)
    if isinstance(value, (list, tuple)):
        kind = isinstance(value, tuple) if exact else "sequence"
        return kind, [form(item, exact=exact) for item in value]
    if isinstance(value, (set, frozenset)):
        return "set", sorted((form(item) for item in value), key=repr)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, fold=0), value.utcoffset()
    if isinstance(value, (SecretStr, SecretBytes)):
        return "secret", value.get_secret_value()
    if isinstance(value, Enum) and isinstance(value, (str, int)):
        return value.value
    return value


def written(write: Callable[[], str]) -> str | None:
    """The text of a value, or None when it is refused with a message in one line."""
    try:
        return write()
    except InvalidPayload as error:
        told = str(error)
    assert told.startswith("value")
    assert "\n" not in told
    return None


def read_back(of: PayloadType, value: Any, *, strict: bool) -> tuple[bool, Any]:
    """Whether the value is taken, and as what it is read."""
    text = written(lambda: of.write(value, "value", LIMIT, strict=strict))
    return (False, None) if text is None else (True, of.read(text, "value"))


@GENERATED
@given(data=st.data(), of=typed(LEAVES, hazards=False), strict=st.booleans())
def test_values_of_their_type_are_taken_and_come_back_equal(
    data: st.DataObject, of: Typed, strict: bool
) -> None:
    type_, values = of
    value = data.draw(values)

    taken, back = read_back(payload_type(type_), value, strict=strict)

    assert taken
    assert form(back) == form(value)


@GENERATED
@given(data=st.data(), of=typed([*LEAVES, *HAZARDS], hazards=True))
def test_whatever_is_taken_comes_back_equal(data: st.DataObject, of: Typed) -> None:
    type_, values = of
    value = data.draw(values)

    taken, back = read_back(payload_type(type_), value, strict=True)

    if taken:
        document = form(back) != form(value)
        # JSON in the form that the type writes itself stands for what it is read as.
        assert not document or encode(value, "value") == payload_type(type_).write(
            back, "value", LIMIT
        )


@GENERATED
@given(data=st.data(), of=typed([*LEAVES, *HAZARDS], hazards=True))
def test_without_a_declared_type_a_record_is_read_as_what_it_is(
    data: st.DataObject, of: Typed
) -> None:
    value = data.draw(of[1])
    text = written(lambda: encode(value, "value"))
    if text and (isinstance(value, BaseModel) or dataclasses.is_dataclass(value)):
        assert form(payload_type(type(value)).read(text, "value")) == form(value)
