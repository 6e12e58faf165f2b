"""Types of values, each with its own way of losing something when it is written or read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Network
from threading import Lock
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import (
    AliasChoices,
    AliasPath,
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    PlainSerializer,
    PrivateAttr,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)

T = TypeVar("T")


class Colour(Enum):
    RED = "red"


class Odd(Enum):
    PAIR = (1, 2)


class Base(BaseModel):
    a: int = 1


class Wider(Base):
    b: int = 2


class Aliased(BaseModel):
    one: int = Field(0, validation_alias="in")
    two: int = Field(0, serialization_alias="out")
    three: int = Field(0, alias="both")
    four: int = Field(0, validation_alias=AliasPath("path", 0))
    five: int = Field(0, validation_alias=AliasChoices("this", "that"))


class Swapped(BaseModel):
    a: int = Field(validation_alias="b")
    b: int = Field(validation_alias="a")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    a: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.a


class Written(BaseModel):
    inner: Json[list[int]]
    number: int

    @field_serializer("number")
    def as_text(self, number: int) -> str:
        return f"{number}"


class Lossy(BaseModel):
    number: int

    @field_serializer("number")
    def rounded(self, number: int) -> int:
        return number // 10 * 10


class Excluded(BaseModel):
    kept: int = 0
    left: int = Field(0, exclude=True)


class Hidden(BaseModel):
    word: SecretStr


class HiddenBytes(BaseModel):
    word: SecretBytes


class Shown(BaseModel):
    word: Annotated[
        SecretStr | None,
        PlainSerializer(lambda secret: secret and secret.get_secret_value(), when_used="json"),
    ] = None


class Anything(BaseModel):
    v: Any = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Private(BaseModel):
    _note: str = PrivateAttr("")
    _lock: Any = PrivateAttr(default_factory=Lock)


class Odder(BaseModel):
    keys: dict[int, str] = {}
    colours: dict[Colour, int] = {}
    numbers: set[int] = set()
    site: AnyUrl | None = None
    page: HttpUrl | None = None
    net: IPv4Network | None = None


class Holder(BaseModel):
    base: Base
    bases: list[Base] = []


class Box(BaseModel, Generic[T]):
    item: T


class Same(BaseModel):
    """Two of these are equal whatever they hold."""

    n: int
    more: Any = Field(None, exclude=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same)

    __hash__ = None  # type: ignore[assignment]


class Checked(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def raised(cls, n: int) -> int:
        return n + 1


class Pair(NamedTuple):
    left: int
    right: str


@dataclasses.dataclass
class Point:
    x: int
    also: int = dataclasses.field(default=0, compare=False, init=False)


@dataclasses.dataclass(frozen=True)
class Tagged:
    tags: Sequence[str] = ()


def new(model: Any, **given: Any) -> Any:
    """An instance; type checkers do not follow aliases of every kind."""
    return model(**given)
