"""The results of a run and of the runs it started, without what may depend on crashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypedDict

from stepwell.engine.errors import NoCheckpoint
from stepwell.engine.model import Run, Step
from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.wait_rules import RESERVED

MISSING = "nothing"
_LONGEST = 200
# Fields of built-in kinds' results that are measured or come from a clock.
_OF_THE_CLOCK = {
    "shell.run": ("seconds",),
    "http.fetch": ("elapsed",),
    "wait.approval": ("at",),
}


class PlayOptions(TypedDict, total=False):
    """Options for playing a package many times and comparing its ends.

    `packages`: other packages that it needs. `entrypoint`: as for `start_run`. `send`: messages, as
    (topic, payload), sent after the start. `observe()`: outside effects, which are compared as
    well; `reset()` undoes them before each play. `ignore`: patterns of places that may differ, such
    as "run.steps.pay.value.at" or "*.seconds". `app`, `settings`: as for `connect()`; each step
    gets the same `app`.
    """

    packages: Sequence[Package]
    entrypoint: str | None
    send: Sequence[tuple[str, Any]]
    observe: Callable[[], Any]
    reset: Callable[[], object]
    ignore: Iterable[str]
    app: Any
    settings: Any


def end_state(runtime: Runtime, run_id: str) -> dict[str, Any]:
    """The end of the run `run_id` and of all others in the store, without times and tokens."""
    runs = runtime.runs(limit=1_000_000)
    names = _names(runs, run_id)
    state = {names[run.id]: _run_state(runtime, run) for run in runs}
    text = json.dumps(state, sort_keys=True)
    for child, name in sorted(names.items(), key=lambda item: -len(item[0])):
        if child != run_id:  # its id holds the token of the claim that started it
            text = text.replace(json.dumps(child)[1:-1], json.dumps(name)[1:-1])
    found: dict[str, Any] = json.loads(text)
    return found


def differences(
    undisturbed: Mapping[str, Any], crashed: Mapping[str, Any], ignore: Iterable[str] = ()
) -> list[str]:
    """A line for each place where the two differ; `ignore` has patterns of places."""
    patterns = tuple(ignore)
    return [
        f"{path}: undisturbed {_short(one)}, after the crash {_short(other)}"
        for path, one, other in _differing("", undisturbed, crashed)
        if not any(_within(path, pattern) for pattern in patterns)
    ]


def _within(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")


def _differing(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            below = f"{path}.{key}" if path else str(key)
            yield from _differing(below, one.get(key, MISSING), other.get(key, MISSING))
    elif one != other:
        yield path, one, other


def _short(value: Any) -> str:
    text = value if value is MISSING else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _names(runs: Sequence[Run], run_id: str) -> dict[str, str]:
    """A name for each run that crashes do not change: `run/sub` was started by step `sub`."""
    names: dict[str, str] = {}
    for run in reversed(runs):  # the oldest first
        name = "run" if run.id == run_id else run.id
        if run.parent_run is not None:
            name = f"{names[run.parent_run]}/{run.parent_step}"
        again = sum(1 for known in names.values() if known.partition("#")[0] == name)
        names[run.id] = f"{name}#{again + 1}" if again else name
    return names


def _run_state(runtime: Runtime, run: Run) -> dict[str, Any]:
    return {
        "status": str(run.status),
        "steps": {step.id: _step_state(runtime, step) for step in runtime.steps(run.id)},
        "messages": _messages(runtime, run),
    }


def _messages(runtime: Runtime, run: Run) -> dict[str, Any]:
    """Each message by its topic and its position there."""
    found: dict[str, Any] = {}
    for message in runtime.messages(run.id):
        payload = message.payload
        if message.topic.startswith(RESERVED):  # a decision, which contains its time
            payload = {**payload, "at": None}
        number = 1 + sum(place.startswith(f"{message.topic}#") for place in found)
        found[f"{message.topic}#{number}"] = {
            "payload": payload,
            "taken by": message.received_by,
            "refused": message.refused,
        }
    return found


def _step_state(runtime: Runtime, step: Step) -> dict[str, Any]:
    state: dict[str, Any] = {"status": str(step.status), "operations": _operations(runtime, step)}
    if not step.status.ended:
        return state
    result = runtime.result(step.run_id, step.id)
    records = {
        f"{ref.collection}/{ref.key}": runtime.record(step.package, ref.collection, ref.key).value
        for ref in result.records
    }
    return state | {
        "value": _without_times(step.kind, result.value),
        "error": None if result.error is None else result.error.code,
        "records": records,
        "artifacts": {artifact.name: artifact.sha256 for artifact in result.artifacts},
        "emitted": sorted(result.emitted),
    }


def _without_times(kind: str, value: Any) -> Any:
    """The result of a step without what always differs between executions."""
    if not isinstance(value, Mapping) or kind not in _OF_THE_CLOCK:
        return value
    kept = {key: None if key in _OF_THE_CLOCK[kind] else item for key, item in value.items()}
    if isinstance(headers := kept.get("headers"), Mapping):
        kept["headers"] = {
            name: None if name.lower() == "date" else text for name, text in headers.items()
        }
    return kept


def _operations(runtime: Runtime, step: Step) -> dict[str, str]:
    """Each recorded operation by its id: "done", or the code of its error."""
    try:
        operations = runtime.checkpoint(step.run_id, step.id).operations
    except NoCheckpoint:
        return {}
    return {
        operation.id: "done" if operation.error is None else operation.error.code
        for operation in operations
    }
