"""The settings of a runtime, checked when they are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from stepwell.engine.duration_checks import check_duration
from stepwell.engine.durations import Lasting
from stepwell.engine.errors import InvalidSettings, nearest, shown
from stepwell.engine.payloads.payload import DEFAULT_LIMIT


def _range(low: float, high: float, unit: str, text: str) -> Any:
    return {"low": low, "high": high, "unit": unit, "text": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a runtime. Every field has a range; a value outside is refused by name.

    Times are durations, and read as seconds. The command line reads each setting from a flag, from
    `STEPWELL_<NAME>`, or from `[tool.stepwell]`, in this order.
    """

    lease: Lasting[float] = dataclasses.field(
        default=cast("Any", 30.0),
        metadata=_range(0.2, 86_400, "seconds", "how long a claim holds without a renewal"),
    )
    poll_interval: Lasting[float] = dataclasses.field(
        default=cast("Any", 1.0),
        metadata=_range(
            *(0.001, 3_600, "seconds"),
            "how often an idle worker looks for work; up to 8 times less often after a while",
        ),
    )
    grace: Lasting[float] = dataclasses.field(
        default=cast("Any", 30.0),
        metadata=_range(0, 86_400, "seconds", "how long a stopping worker lets steps finish"),
    )
    kill_grace: Lasting[float] = dataclasses.field(
        default=cast("Any", 3.0),
        metadata=_range(0, 3_600, "seconds", "how long a canceled child process may clean up"),
    )
    threads: int = dataclasses.field(
        default=8, metadata=_range(1, 10_000, "steps", "slots of the thread pool")
    )
    tasks: int = dataclasses.field(
        default=500, metadata=_range(1, 100_000, "steps", "slots of the asyncio pool")
    )
    processes: int = dataclasses.field(
        default=2, metadata=_range(1, 1_000, "steps", "slots of the process pool")
    )
    memory_limit: int = dataclasses.field(
        default=0,
        metadata=_range(
            *(0, 1 << 44, "bytes"),
            "memory limit of each child process of the process pool; 0: no limit",
        ),
    )
    claim_limit: int = dataclasses.field(
        default=1024, metadata=_range(1, 100_000, "steps", "most steps claimed at once")
    )
    max_lost_leases: int = dataclasses.field(
        default=3,
        metadata=_range(1, 1_000, "leases", "a step that loses this many fails: lease_lost"),
    )
    payload_limit: int = dataclasses.field(
        default=DEFAULT_LIMIT,
        metadata=_range(1, 1 << 30, "bytes", "largest input, result, record or metadata, as JSON"),
    )
    emit_limit: int = dataclasses.field(
        default=100_000,
        metadata=_range(
            *(1, 10_000_000, "steps"),
            "most steps that one step may emit, and about the most that are stored at once",
        ),
    )
    inline_limit: int = dataclasses.field(
        default=64 * 1024,
        metadata=_range(0, 1 << 30, "bytes", "larger artifacts go to the artifact store"),
    )
    durability: Literal["full", "relaxed"] = dataclasses.field(
        default="full",
        metadata={
            "text": "full: what returned is on disk. relaxed: the last commits before a power "
            "loss or a crash of the system can be lost; a crash of the process loses nothing"
        },
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if "low" in field.metadata:
                value = _number(field, value)
                object.__setattr__(self, field.name, value)
            elif value not in ("full", "relaxed"):
                raise InvalidSettings(
                    f"settings.{field.name}: must be 'full' or 'relaxed', got {shown(value)}"
                )

    def as_dict(self) -> dict[str, Any]:
        """All settings by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a mapping; an unknown name is refused with the nearest known one."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidSettings(f"settings.{name}: unknown{nearest(name, known)}")
        return cls(**values)


def _number(field: dataclasses.Field[Any], value: Any) -> float | int:
    """`value` as a number within the field's range. Accepts text, as from flags."""
    name, meta = f"settings.{field.name}", field.metadata
    if meta["unit"] == "seconds":
        low, high = (timedelta(seconds=meta[end]) for end in ("low", "high"))
        given = check_duration(value, name, high, least=low, error=InvalidSettings)
        return given.total_seconds()
    try:
        number = None if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (isinstance(value, float) and value != number):
        raise InvalidSettings(
            f"{name}: must be a whole number of {meta['unit']}, got {shown(value)}"
        )
    if not meta["low"] <= number <= meta["high"]:
        raise InvalidSettings(
            f"{name}: must be from {meta['low']:g} to {meta['high']:g} {meta['unit']}, "
            f"got {shown(value)}"
        )
    return number
