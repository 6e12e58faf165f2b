"""Plans: how the statements of an exchange are sent.

`stepwise` sends one statement after another, each for one rule; any database can do that. `fused`
does the same in a few long statements, on databases that can change rows within WITH. Both leave
the same rows: the fused plan is tested against the stepwise one.
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
    """A pending step that can never become ready, and the step whose end is the reason."""

    ruling: Verdict
    key: int
    origin: int


class Succeeded(NamedTuple):
    """What was done for executions that succeeded.

    `held` are the keys of the steps whose leases were still held; None means all. `counted`: the
    counters of their runs are up to date and the events stored. `followed`: their dependents were
    counted down, except `drops`, whose dependencies can no longer be met.
    """

    held: set[int] | None
    counted: bool = False
    followed: bool = False
    drops: Sequence[Drop] = ()


class EndedRuns(NamedTuple):
    """Waits for runs that ended: by the name of the wait, or by the key of a waiting step."""

    names: Mapping[str, Mapping[str, Any]]
    arrived: Mapping[int, Mapping[str, Any]]


class NewRows(NamedTuple):
    """The rows of new runs, of their steps and edges, and of their first events."""

    runs: Sequence[Sequence[Any]]
    steps: Sequence[Sequence[Any]]
    edges: Sequence[Sequence[Any]]
    events: Sequence[StoredEvent]


class Plan(Protocol):
    """The parts of an exchange that plans do differently."""

    # --- lock -------------------------------------------------------------------------------

    def lock_runs(
        self, tx: StoreTransaction, keys: set[int], parents: set[int] | None
    ) -> Callable[[], int]:
        """Lock these runs and those that started them: `parents`, or None if that is unknown.

        Returns a function that reads the control number.
        """
        ...

    # --- settle -----------------------------------------------------------------------------

    def succeed(
        self, changes: Changes, completed: Sequence[Completed], *, follow: bool
    ) -> Succeeded:
        """End executions and store their results; with `follow` it may count dependents down.

        Without it there are new edges, which have to be stored first.
        """
        ...

    # --- propagate --------------------------------------------------------------------------

    def count_down(self, changes: Changes, met: dict[int, int], *, last: bool) -> None:
        """Count these steps down by the numbers of dependencies that were met.

        With `last` nothing else becomes ready afterwards, so that they may be handed on.
        """
        ...

    # --- claim ------------------------------------------------------------------------------

    def may_offer(self, known_at: int, control: Callable[[], int]) -> bool:
        """Whether what was known of queues at this control number may be used to hand on."""
        ...

    def take(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[FoundStep]:
        """Find the best ready steps for each pool and take them; returns them unsorted.

        A budget of None means that the queue has no limit.
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
        """End runs that have no open steps, each with an event that has `data`."""
        ...

    # --- new runs ---------------------------------------------------------------------------

    def add_runs(self, changes: Changes, rows: NewRows) -> None:
        """Store new runs; their first events are noted in the changes already."""
        ...


def numbered(
    counted: Sequence[CountedRun], events: Mapping[int, Sequence[NewEvent]]
) -> list[StoredEvent]:
    """These events with their numbers, which end at the runs' counters."""
    stored: list[StoredEvent] = []
    for run in counted:
        mine = events.get(run.key, ())
        first = run.last_event - len(mine) + 1
        stored += [stored_event((run.key, seq, *event)) for seq, event in enumerate(mine, first)]
    return stored
