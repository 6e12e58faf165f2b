"""Handing on: a step is claimed as it becomes ready, if it is what the worker would claim next.

It saves the change from pending to ready and with it an entry in the index of ready steps, and it
saves the worker a search. The stepwise plan does it where it counts down, the fused plan in the
statement that stores the success.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stepwell.stores.sql.exchange.claim_rules import FoundStep


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker would claim next: `room` steps of the kinds in the queues.

    `kinds` and `queues` are made by `Dialect.name_list`. There is an offer only if none of the
    queues had a limit when the control number was `control`.
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
    """The steps that were claimed as others succeeded, as they were before the claim.

    `all` says that there was nothing else that the worker could have claimed.
    """

    steps: list[FoundStep] = field(default_factory=list)
    all: bool = False
