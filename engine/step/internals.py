"""What is behind a step's context: its state, and the parts that do what its methods promise.

No part of the public API: for the engine, the built-in kinds, the testing room, and for tests.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import stepwell.engine as engine
from stepwell.engine.durable.body import INSIDE, BodyRest
from stepwell.engine.durable.checkpoint_pause import PAUSED
from stepwell.engine.durable.durable import Durable, JournalFactory
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.outbox import Outbox, sent_before
from stepwell.engine.errors import Canceled, LeaseLost, StepwellError
from stepwell.engine.exchange import (
    ClaimedStep,
    NewArtifact,
    NewMessage,
    NewRecord,
    NewRun,
    NewStep,
)
from stepwell.engine.graph.graph import Graph
from stepwell.engine.ids import execution_id
from stepwell.engine.payloads.payload import decode
from stepwell.engine.services import DurableServices, Services
from stepwell.engine.step.batched_reads import BatchedReads
from stepwell.engine.step.effects import Effects
from stepwell.engine.step.step_views import step_logger

T = TypeVar("T")

# What an execution made: records, artifacts, emitted steps and messages.
Made = tuple[Sequence[NewRecord], Sequence[NewArtifact], Sequence[NewStep], Sequence[NewMessage]]


class StepInternals:
    """The execution behind one `StepContext`. A part is made when it is first used.

    `cancelled` is what `step.cancelled` gives; `closed` refuses effects; `returned` is what
    `step.result` was given. `thread` is where the body runs, or None if no worker runs it; `task`
    is its task if it is a coroutine. `claimed_with` reads the dependencies of several steps at
    once. `make_journal` may be replaced before the first durable operation.
    """

    # What most executions leave as it is, so that making one costs little.
    cancelled = False
    closed = False
    thread: int | None = None
    task: Any = None
    returned: Any = None
    claimed_with: BatchedReads | None = None
    durable: Durable | None = None
    outbox: Outbox | None = None
    graph: Graph | None = None
    make_journal: JournalFactory = Journal
    _effects: Effects | None = None
    _on_cancel: list[Callable[[], object]] | None = None

    def __init__(self, claimed: ClaimedStep, worker_id: str, services: Services) -> None:
        self.claimed = claimed
        self.worker_id = worker_id
        self.services = services

    # --- how it ends ------------------------------------------------------------------------

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """See `StepContext.on_cancel`."""
        waiting = self._on_cancel
        if waiting is None:  # of two threads, both use the first one's
            waiting = vars(self).setdefault("_on_cancel", [])
        waiting.append(callback)
        if self.cancelled:
            self.cancel()

    def cancel(self) -> None:
        """Set `cancelled` and call each callback that waits for it once."""
        self.cancelled = True
        while self._on_cancel:
            try:
                self._on_cancel.pop()()
            except IndexError:  # another thread took it
                return
            except BaseException:
                step_logger(self.claimed).exception("a callback of on_cancel failed")

    def check_open(self, operation: str, *, inside: bool = False) -> None:
        """Raises StepwellError if the execution has ended.

        Also, unless `inside`, if this is called in the function of a `step.do`.
        """
        calling = INSIDE.get()
        if calling is not None and calling[0] is self and not inside:
            raise StepwellError(
                f"step.{operation}: called inside the operation {calling[1]!r}; it would be lost "
                "when the operation is replayed: call it before or after"
            )
        if self.closed:
            raise StepwellError(
                f"step.{operation}: the execution of step {self.claimed.id!r} has ended; "
                "effects can only be made until the executor returns"
            )

    # --- what it makes ----------------------------------------------------------------------

    @property
    def effects(self) -> Effects:
        """Its records and artifacts."""
        made = self._effects
        if made is None:
            services = self.services
            made = Effects(self.claimed, services.artifacts, services.settings)
            made = vars(self).setdefault("_effects", made)
        return made

    def make_graph(self) -> Graph:
        """The graph of the steps that it emits."""
        services, claimed = self.services, self.claimed
        made = Graph(
            services.catalog,
            "emit",
            limit=services.settings.payload_limit,
            package=claimed.package,
            parent=claimed.id,
            most=services.settings.emit_limit,
            defaults=(claimed.run.queue, claimed.run.priority),
        )
        graph: Graph = vars(self).setdefault("graph", made)
        return graph

    def make_outbox(self) -> Outbox:
        """The messages that it sends."""
        outbox: Outbox = vars(self).setdefault("outbox", Outbox(self.claimed, self.services))
        return outbox

    def artifacts(self) -> Sequence[NewArtifact]:
        """The artifacts made so far."""
        made = self._effects
        return () if made is None else tuple(made.artifacts.values())

    def made(self) -> Made:
        """Everything made so far. Raises InvalidGraph for an invalid emission.

        Dependencies on steps that are not emitted here are left to the store to check.
        """
        effects, graph, outbox = self._effects, self.graph, self.outbox
        return (
            () if effects is None else tuple(effects.records.values()),
            () if effects is None else tuple(effects.artifacts.values()),
            () if graph is None else graph.finish(known=None),
            () if outbox is None else outbox.fresh,
        )

    @property
    def messages(self) -> Sequence[NewMessage]:
        """The messages to commit, without those that earlier executions have sent."""
        return () if self.outbox is None else self.outbox.fresh

    @property
    def sent_mark(self) -> str | None:
        """The mark of all messages sent so far, by earlier executions, too; see `Outbox`."""
        return sent_before(self.claimed) if self.outbox is None else self.outbox.mark

    # --- durable operations -----------------------------------------------------------------

    def durable_for(self, operation: str) -> Durable:
        """Its durable operations, made with the first of them, by whichever thread."""
        made = self.durable
        if made is None:
            claimed, services = self.claimed, self.durable_services(operation)
            journal = self.make_journal(
                claimed,
                execution_id(claimed.run.id, claimed.id),
                services,
                self.services.settings,
                BodyRest(self),
            )
            made = vars(self).setdefault("durable", Durable(self, journal))
        return made

    def durable_services(self, operation: str) -> DurableServices:
        """What durable operations use. Raises StepwellError if there are none here."""
        if self.services.durable is None:
            raise StepwellError(
                f"step.{operation}: this execution has no store for durable operations"
            )
        return self.services.durable

    def stay_paused(self) -> None:
        """Suspend again, without running the body, if the step waits for the end of a pause."""
        waited = self.resumed_wait()
        if waited is not None and waited.get("kind") == PAUSED:
            journal = self.durable_for("paused").journal
            journal.load()
            journal.heed()

    async def guarded(self, body: Awaitable[T]) -> T:
        """The value of a coroutine, after the tasks that it left running have ended as well."""
        self.thread = threading.get_ident()
        self.task = engine.coroutines.own_task()
        error: BaseException | None = None
        try:
            return await body
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self.durable is not None:
                await self.durable.operations.finish_tasks(error)

    # --- for the built-in kinds -------------------------------------------------------------

    def child_run(self, package: str, input: Any = None, entrypoint: str | None = None) -> NewRun:
        """A run for this step to start and wait for; the kind `run.start` is made of it."""
        claimed = self.claimed
        run_id = f"{claimed.run.id}.{claimed.id}.{claimed.token}"
        if len(run_id.encode()) > 200:
            digest = hashlib.sha256(run_id.encode()).hexdigest()[:24]
            run_id = f"{claimed.run.id[:100]}.{digest}"
        return self.services.build_run(package, input, entrypoint, run_id)

    def resumed_wait(self) -> dict[str, Any] | None:
        """What this step waited for before this execution, or None on a first one."""
        return decode(self.claimed.wait) if self.claimed.wait else None

    def resumed_deadline(self) -> int | None:
        """When that wait is over by time (epoch µs), moved by pauses; None for never."""
        return self.claimed.wake_at

    def take_message(self, topic: str, operation: str) -> str | None:
        """The message for this operation as JSON text, or None; for kinds without a checkpoint."""
        messages = self.durable_services("take_message").messages
        try:
            return messages.receive(self.claimed, topic, operation)
        except LeaseLost as error:
            raise Canceled("the step lost its lease", lost=error) from error

    def run_status(self, run_id: str) -> str | None:
        """The status of another run, or None without one."""
        return self.services.reads.run_status(run_id)
