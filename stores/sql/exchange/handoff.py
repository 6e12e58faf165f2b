"""Handing on: a step is claimed where it becomes ready, if it is what the worker would claim next.

It spares a step a change from pending to ready and one from ready to running, with the entries of
both in the index of what is ready, and the worker a search. `FusedStatements.succeed` does it where
statements are fused, `Propagation` elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker would claim next: `room` steps of the kinds in the queues (see `as_parameter`).

    Made only if none of the queues had a limit when the control number was `control`.
    """

    worker: str = ""
    lease: int = 0
    suspect_from: int = 0
    kinds: str = "{}"
    queues: str = "{}"
    room: int = -1
    control: int = -1


NO_OFFER = Offer()


@dataclass(slots=True)
class Handoff:
    """What was claimed along with the success of others, as rows of `CLAIMED`.

    `all` says that the worker could have claimed nothing besides.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    all: bool = False


@lru_cache(maxsize=1_000)
def as_parameter(names: Sequence[str], fused: bool) -> str:
    """Names as a parameter: an array where statements are fused, else lines.

    No name has a line break in it.
    """
    if not fused:
        return "\n" + "\n".join(names) + "\n"
    escaped = (text.replace("\\", r"\\").replace('"', r"\"") for text in names)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"
