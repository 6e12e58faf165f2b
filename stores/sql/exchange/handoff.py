"""Handing on: a step is claimed where it becomes ready, if it is what the worker would claim next.

It spares a step a change from pending to ready and one from ready to running, with the entries of
both in the index of what is ready, and the worker a search. The stepwise plan does it where it
counts down, the fused one along with the success.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stepwell.stores.sql.exchange.claim_rules import FoundStep


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker would claim next: `room` steps of the kinds in the queues.

    These are as `Dialect.name_list` makes them. Made only if none of the queues had a limit when
    the control number was `control`.
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
    """What was claimed along with the success of others, as it was before.

    `all` says that the worker could have claimed nothing besides.
    """

    steps: list[FoundStep] = field(default_factory=list)
    all: bool = False
