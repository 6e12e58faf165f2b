"""Reads of the store whose arguments are checked first."""

from __future__ import annotations

from typing import Any, BinaryIO, TypedDict, TypeVar

from stepwell.engine.errors import InvalidInput, NotFound, nearest, shown
from stepwell.engine.events import Event, EventPage, EventType
from stepwell.engine.model import Record, Run, RunFilter, Step, StepFilter
from stepwell.engine.ports import ArtifactStore, RunStore
from stepwell.engine.runtime.verify import verify
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.engine.step.artifact_reads import opened
from stepwell.engine.verification import Verification

S = TypeVar("S", RunStatus, StepStatus)


class RunFilters(TypedDict, total=False):
    """Which runs to list; a filter that is left out matches every run.

    `limit` (default 100) is the size of a page; for the next page, `before` is the id of the last
    run of this one. Ids begin with `prefix`. With `dead`, only runs that failed because a step lost
    its lease too often.
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
    """Changes nothing. `Runtime` documents each method."""

    def __init__(self, store: RunStore, artifacts: ArtifactStore) -> None:
        self._store = store
        self._artifacts = artifacts

    def runs(self, filters: RunFilters) -> list[Run]:
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

    def steps(
        self,
        run_id: str,
        status: StepStatus | str | None,
        kind: str | None,
        limit: int | None,
        after: str | None,
    ) -> list[Step]:
        wanted = None if status is None else _status(StepStatus, status)
        if limit is not None:
            _check_whole("limit", limit, 1)
        return self._store.steps(run_id, StepFilter(wanted, kind, limit, after))

    def events(self, run_id: str, after: int, limit: int | None) -> list[Event]:
        _check_whole("after", after, 0, 2**63 - 1)
        if limit is not None:
            _check_whole("limit", limit, 1)
        return self._store.events(run_id, after, limit)

    def events_since(self, cursor: str, limit: int) -> EventPage:
        _check_whole("limit", limit, 1)
        return self._store.events_since(cursor, limit)

    def last_event(self, run_id: str, type: str, step_id: str | None) -> Event | None:
        return self._store.last_event(run_id, _type(type), step_id)

    def record(self, package: str, collection: str, key: str) -> Record:
        found = self._store.records(package, collection, key)
        if not found:
            place = f"{package}/{collection}"
            keys = [record.key for record in self._store.records(package, collection)]
            raise NotFound(f"there is no record {key!r} in {place!r}{nearest(key, keys)}")
        return found[0]

    def open_artifact(self, artifact_id: str) -> BinaryIO:
        ref, body = self._store.artifact(artifact_id)
        return opened(artifact_id, ref.sha256, body, self._artifacts)

    def verify(self, most: int) -> Verification:
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= 1_000_000:
            raise InvalidInput(f"most: must be a whole number from 1 to 1000000, got {most!r}")
        return verify(self._store, self._artifacts, most)


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
