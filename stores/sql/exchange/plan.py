"""Plans: how the statements of an exchange are sent.

`stepwise` does one thing after another, as the rules tell it; any database can follow it. `fused`
does the same in few long statements, where a database can change rows within WITH. Both leave the
same rows; the stepwise one is what the fused one is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from stepwell.engine.exchange import ClaimRequest, Completed, PoolRequest
from stepwell.engine.states import Verdict
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.exchange.changes import (
    Changes,
    CountedRun,
    NewEvent,
    StoredEvent,
    stored_event,
)
from stepwell.stores.sql.exchange.claim_rules import FoundRun, FoundStep


class PlanName(StrEnum):
    """The plans there are."""

    STEPWISE = "stepwise"
    FUSED = "fused"


class Drop(NamedTuple):
    """A pending step that cannot be met any more, and the step whose end makes it so."""

    ruling: Verdict
    key: int
    origin: int


class Succeeded(NamedTuple):
    """What came of the success of executions.

    `held` are the keys of those whose leases were still held, None for all of them. `counted`:
    their runs were counted and told of it. `followed`: what depends on them was counted down, but
    for `drops`, which it cannot be met for any more.
    """

    held: set[int] | None
    counted: bool = False
    followed: bool = False
    drops: Sequence[Drop] = ()


class EndedRuns(NamedTuple):
    """Who may wait for runs that ended: by the name of the wait, or by the key of the step."""

    names: Mapping[str, Mapping[str, Any]]
    arrived: Mapping[int, Mapping[str, Any]]


class NewRows(NamedTuple):
    """The rows of new runs, of their steps and edges, and of their first events."""

    runs: Sequence[Sequence[Any]]
    steps: Sequence[Sequence[Any]]
    edges: Sequence[Sequence[Any]]
    events: Sequence[StoredEvent]


class Plan(Protocol):
    """The stages of an exchange, as far as plans differ in them."""

    # --- lock -------------------------------------------------------------------------------

    def lock_runs(
        self, tx: StoreTransaction, keys: set[int], parents: set[int] | None
    ) -> Callable[[], int]:
        """Lock these runs and those that started them: `parents`, or None if that is unknown.

        Returns what tells the control number.
        """
        ...

    # --- settle -----------------------------------------------------------------------------

    def succeed(
        self, changes: Changes, completed: Sequence[Completed], *, follow: bool
    ) -> Succeeded:
        """End executions and store their results; may count down what depends on them.

        It may not without `follow`: new edges have to be stored first.
        """
        ...

    # --- propagate --------------------------------------------------------------------------

    def count_down(self, changes: Changes, met: dict[int, int], *, last: bool) -> None:
        """Of what these steps wait for so many are there; whose count comes to 0 are ready.

        With `last` nothing else becomes ready after them, so that they may be handed on.
        """
        ...

    # --- claim ------------------------------------------------------------------------------

    def may_offer(self, known_at: int, control: Callable[[], int]) -> bool:
        """Whether to hand on by what was known of queues at a control number."""
        ...

    def take(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[FoundStep]:
        """Find the best ready steps for each pool and take them; returns them unsorted.

        None as the budget of a queue stands for any number.
        """
        ...

    def start_runs(self, changes: Changes, keys: Sequence[int]) -> list[FoundRun]:
        """Start those of the runs that are pending and that nobody else holds; returns those."""
        ...

    def start_new_run(self, changes: Changes, key: int) -> None:
        """Start a run that this transaction stores."""
        ...

    # --- close ------------------------------------------------------------------------------

    def count(
        self,
        tx: StoreTransaction,
        rows: Sequence[tuple[int, int, int, int]],
        events: Mapping[int, Sequence[NewEvent]],
    ) -> tuple[list[CountedRun], list[StoredEvent]]:
        """Add (key, steps, open steps, events) to the counters of runs, and store the events."""
        ...

    def end_runs(
        self, changes: Changes, run_keys: Sequence[int], data: Mapping[str, Any] | None
    ) -> EndedRuns:
        """End runs in which nothing is open, each with an event that says so with `data`."""
        ...

    # --- new runs ---------------------------------------------------------------------------

    def add_runs(self, changes: Changes, rows: NewRows) -> None:
        """Store new runs, whose first events are noted already."""
        ...


def numbered(
    counted: Sequence[CountedRun], events: Mapping[int, Sequence[NewEvent]]
) -> list[StoredEvent]:
    """Events with their numbers in the runs, as they were counted."""
    stored: list[StoredEvent] = []
    for run in counted:
        mine = events.get(run.key, ())
        first = run.last_event - len(mine) + 1
        stored += [stored_event((run.key, seq, *event)) for seq, event in enumerate(mine, first)]
    return stored
