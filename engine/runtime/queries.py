"""Looking at runs, steps and what they left behind."""

from __future__ import annotations

from typing import Any, BinaryIO, TypedDict, TypeVar, Unpack

from stepwell.engine.errors import InvalidInput, NotFound, nearest, shown
from stepwell.engine.events import BEGINNING, Event, EventPage, EventType
from stepwell.engine.model import (
    ArtifactRef,
    EdgeRow,
    EngineStatus,
    QueueStatus,
    Record,
    Run,
    RunFilter,
    RunProgress,
    Step,
    StepFilter,
    StepResult,
    WorkerRow,
)
from stepwell.engine.ports import ArtifactStore, Projection, ProjectionStore, RunStore
from stepwell.engine.runtime.change_signal import ChangeSignal
from stepwell.engine.runtime.verify import verify
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.engine.step.artifact_reads import opened
from stepwell.engine.verification import MOST_SHOWN, Verification

S = TypeVar("S", RunStatus, StepStatus)


class RunFilters(TypedDict, total=False):
    """Which runs to list; what is left out means any.

    `before` continues after the last run of a page of `limit` (default 100) runs. `prefix` is how
    their ids begin. `dead`: only those that failed because a step lost its lease too often.
    """

    package: str | None
    status: RunStatus | str | None
    name: str | None
    tag: str | None
    limit: int
    before: str | None
    prefix: str | None
    dead: bool


class Queries:
    """The reading part of a runtime. Nothing here changes anything."""

    def __init__(
        self,
        store: RunStore,
        artifacts: ArtifactStore,
        projections: ProjectionStore,
        changes: ChangeSignal,
    ) -> None:
        self._store = store
        self._changes = changes
        self._artifacts = artifacts
        self._projections = projections

    def run(self, run_id: str) -> Run:
        """The run as it is now. Raises NotFound."""
        return self._store.run(run_id)

    def runs(self, **filters: Unpack[RunFilters]) -> list[Run]:
        """Matching runs, newest first."""
        unknown = filters.keys() - RunFilters.__annotations__.keys()
        if unknown:
            name = min(unknown)
            raise InvalidInput(
                f"runs: unknown filter {name!r}{nearest(name, RunFilters.__annotations__)}"
            )
        limit, status = filters.get("limit", 100), filters.get("status")
        _check_whole("limit", limit, 1)
        wanted = None if status is None else _status(RunStatus, status)
        where: dict[str, Any] = {**filters, "status": wanted}
        return self._store.runs(RunFilter(**where))

    def progress(self, run_id: str) -> RunProgress:
        """Counts of a run's steps; cheap, however large the run is."""
        return self._store.progress(run_id)

    def steps(
        self,
        run_id: str,
        *,
        status: StepStatus | str | None = None,
        kind: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Step]:
        """Matching steps of a run, in order of creation.

        Status "held" finds waiting and pending steps that are held, too. `after` continues after
        the last step of a page of `limit` steps; None for `limit` means all.
        """
        wanted = None if status is None else _status(StepStatus, status)
        if limit is not None:
            _check_whole("limit", limit, 1)
        return self._store.steps(run_id, StepFilter(wanted, kind, limit, after))

    def step(self, run_id: str, step_id: str) -> Step:
        """One step as it is now. Raises NotFound."""
        return self._store.step(run_id, step_id)

    def edges(self, run_id: str) -> list[EdgeRow]:
        """All dependencies between a run's steps."""
        return self._store.edges(run_id)

    def result(self, run_id: str, step_id: str) -> StepResult:
        """What an ended step left behind. Raises RefusedByState while it has not ended."""
        return self._store.result(run_id, step_id)

    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """The run's events with a larger number than `after`."""
        _check_whole("after", after, 0, 2**63 - 1)
        if limit is not None:
            _check_whole("limit", limit, 1)
        return self._store.events(run_id, after, limit)

    def events_since(self, cursor: str = BEGINNING, limit: int = 1_000) -> EventPage:
        """The events of all runs after `cursor`, and the cursor after them: `.events`, `.cursor`.

        In the order of their commits, each once, whoever commits meanwhile; none when all were
        read. A cursor is text to be kept; begin with "beginning" or "now". The first call on a
        store makes it keep that order; what was told before comes first, run by run. Raises
        InvalidInput for what is no cursor of this store.
        """
        _check_whole("limit", limit, 1)
        return self._store.events_since(cursor, limit)

    def changes(self, timeout: float | None = None, since: str | None = None) -> bool:
        """Wait until anybody commits something to the store; False after `timeout` seconds.

        To miss nothing, take a `change_mark` before reading, and give it as `since`. A commit need
        not have changed what the caller reads. Any number of threads may wait.
        """
        return self._changes.wait(timeout, since)

    def change_mark(self) -> str:
        """A mark of what is committed by now, for `changes`."""
        return self._changes.mark()

    def last_event(
        self, run_id: str, type: EventType | str, step_id: str | None = None
    ) -> Event | None:
        """The newest event of a type, of the run or of one of its steps; None without one.

        Raises NotFound without such a run or step.
        """
        return self._store.last_event(run_id, _type(type), step_id)

    def records(self, package: str, collection: str) -> dict[str, Any]:
        """The values of a package's collection by key."""
        return {record.key: record.value for record in self._store.records(package, collection)}

    def record(self, package: str, collection: str, key: str) -> Record:
        """One record with who wrote it and when. Raises NotFound."""
        found = self._store.records(package, collection, key)
        if not found:
            place = f"{package}/{collection}"
            keys = [record.key for record in self._store.records(package, collection)]
            raise NotFound(f"there is no record {key!r} in {place!r}{nearest(key, keys)}")
        return found[0]

    def collections(self, package: str) -> dict[str, int]:
        """The collections a package has records in, with how many."""
        return self._store.collections(package)

    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        """Artifacts of a run, or of one of its steps."""
        return self._store.artifacts(run_id, step_id)

    def artifact(self, artifact_id: str) -> ArtifactRef:
        """One artifact, without its bytes. Raises NotFound."""
        return self._store.artifact(artifact_id)[0]

    def open_artifact(self, artifact_id: str) -> BinaryIO:
        """The bytes of an artifact, checked against their digest; the caller closes it.

        Raises NotFound, or CorruptData when they do not match it.
        """
        ref, body = self._store.artifact(artifact_id)
        return opened(artifact_id, ref.sha256, body, self._artifacts)

    def projection(self, name: str) -> Projection:
        """A projection database by name."""
        return self._projections.projection(name)

    def queues(self) -> list[QueueStatus]:
        """All queues with what is in them."""
        return self._store.queues()

    def workers(self) -> list[WorkerRow]:
        """Workers that have not stopped."""
        return self._store.workers()

    def verify(self, most: int = MOST_SHOWN) -> Verification:
        """Check all that must hold, in the store and of the bytes of artifacts.

        Others may go on working meanwhile: the store is looked at as of one moment. The first
        `most` violations of each check are told one by one. Raises StoreError when the store
        cannot be read at all.
        """
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= 1_000_000:
            raise InvalidInput(f"most: must be a whole number from 1 to 1000000, got {most!r}")
        return verify(self._store, self._artifacts, most)

    def status(self) -> EngineStatus:
        """The store at a glance."""
        return self._store.status()


def _check_whole(field: str, value: Any, low: int, high: int = 1_000_000) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(
            f"{field}: must be a whole number from {low} to {high}, got {shown(value)}"
        )


def _type(value: str) -> EventType:
    try:
        return EventType(value)
    except ValueError:
        hint = nearest(value, [str(each) for each in EventType])
        raise InvalidInput(f"type: there is no type of event {shown(value)}{hint}") from None


def _status(statuses: type[S], value: str) -> S:
    try:
        return statuses(value)
    except ValueError:
        known = [str(status) for status in statuses]
        raise InvalidInput(
            f"status: there is no status {shown(value)}{nearest(value, known)}"
        ) from None
