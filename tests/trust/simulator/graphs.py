"""Random graphs, the package that runs them, and a plain model of how each has to end.

The model knows the words of the design and nothing of the engine: it looks at a whole graph, again
and again, until nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stepwell import Dependency, Package, Permanent, Queue, Retry, RunBuilder, StepContext

Spec = dict[str, Any]

NARROW = Queue("narrow", max_in_flight=1)
RATED = Queue("rated", rate_limit=5.0, burst=2)
QUEUES = ("default", "default", "default", "narrow", "rated")
RETRY = Retry(max_attempts=4, initial=0.5, wait="exponential", jitter=0.5)

KINDS = ("graphs.work", "graphs.other")
# What a step is that says nothing else.
PLAIN: Spec = {
    "other": 0,
    "edges": [],
    "fails": 0,
    "ends": "succeeded",
    "sleeps": None,
    "topic": None,
    "durable": False,
    "records": [],
    "queue": "default",
    "priority": 0,
    "allowed": False,
    "emits": [],
}

PACKAGE = Package("graphs", queues=[NARROW, RATED])


@PACKAGE.entrypoint
def start(run: RunBuilder, spec: Spec) -> None:
    for step in spec["steps"]:
        run.step(KINDS[step.get("other", 0)], step, **_options(step))


@PACKAGE.executor("graphs.work", retry=RETRY)
def work(step: StepContext, spec: Spec) -> int:
    return _work(step, spec)


@PACKAGE.executor("graphs.other", retry=RETRY, pool="process")
def other(step: StepContext, spec: Spec) -> int:
    return _work(step, spec)


def _work(step: StepContext, given: Spec) -> int:
    spec = PLAIN | given
    if step.step.failures < spec["fails"]:
        raise ValueError("not yet")
    if spec["sleeps"] is not None:
        step.sleep(spec["sleeps"])
    worth: int = spec["worth"]
    if spec["durable"]:
        worth = step.do("double", lambda: 2 * worth) - step.do("again", lambda: worth)
    if spec["topic"] is not None:
        worth += step.receive(spec["topic"], int)
    worth += sum(step.dependencies(int).values())
    for key in spec["records"]:
        step.record("notes", key, worth)
    for child in spec["emits"]:
        step.emit(KINDS[child.get("other", 0)], child, **_options(child))
    if spec["ends"] == "failed":
        raise Permanent("spoiled", "it has to fail")
    return worth


def _options(given: Spec) -> dict[str, Any]:
    spec = PLAIN | given
    edges = {False: [], True: []}  # type: dict[bool, list[Dependency]]
    for target, condition, subtree in spec["edges"]:
        edges[subtree].append(Dependency(target, condition))
    return {
        "id": spec["id"],
        "after": edges[False],
        "after_subtree": edges[True],
        "queue": spec["queue"],
        "priority": spec["priority"],
        "allow_failure": spec["allowed"],
    }


# --- drawing one --------------------------------------------------------------------------------


class Ambiguous(Exception):
    """How the graph ends depends on who is first."""


def drawn(chance: Random, name: str) -> Spec:
    """A graph of up to ten steps that ends in one way only."""
    while True:
        spec: Spec = {"name": name, "steps": []}
        for number in range(chance.choice((1, 2, 3, 4, 5))):
            before = [step["id"] for step in spec["steps"]]
            spec["steps"].append(_step(chance, name, f"s{number}", before, depth=0))
        try:
            end_of(spec)
        except Ambiguous:
            continue
        return spec


def _step(chance: Random, run: str, id: str, before: list[str], depth: int) -> Spec:
    edges: list[tuple[str, str, bool]] = []
    if before and chance.random() < 0.8:
        targets = chance.sample(before, k=chance.randint(1, min(3, len(before))))
        catches = chance.random() < 0.2
        for place, target in enumerate(targets):
            condition = "finished" if chance.random() < 0.25 else "succeeded"
            if catches:
                condition = "failed" if place == 0 else "finished"
            subtree = condition != "failed" and depth == 0 and chance.random() < 0.3
            edges.append((target, condition, subtree))
    spec: Spec = {
        "id": id,
        "other": chance.choice((0, 0, 1)),
        "edges": edges,
        "fails": chance.choice((0, 0, 0, 0, 1, 2)),
        "ends": "failed" if chance.random() < 0.15 else "succeeded",
        "sleeps": chance.choice((None, None, None, None, 0.0, 2.0, 12.0)),
        "topic": "news" if depth == 0 and chance.random() < 0.07 else None,
        "worth": chance.randint(1, 1_000),
        "durable": chance.random() < 0.2,
        "records": [f"{run}/{id}/{n}" for n in range(chance.choice((0, 0, 1, 2)))],
        "queue": chance.choice(QUEUES),
        "priority": chance.choice((0, 0, -1, 5)),
        "allowed": chance.random() < 0.1,
        "emits": [],
    }
    if depth < 2 and chance.random() < 0.2:
        children: list[str] = []
        for number in range(chance.choice((1, 2, 3))):
            child = _step(chance, run, f"{id}.{number}", children, depth + 1)
            spec["emits"].append(child)
            children.append(child["id"])
    return {name: value for name, value in spec.items() if PLAIN.get(name, ...) != value}


# --- how it ends --------------------------------------------------------------------------------

Ended = Mapping[str, tuple[str, int | None]]


@dataclass
class End:
    """How a run ends: its status, each step's status and result, and its records."""

    status: str
    steps: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()


def messages(spec: Spec) -> list[tuple[str, int]]:
    """A message for each step that waits for one, all alike, as any may come first."""
    return [("news", 7) for step in spec["steps"] if "topic" in step]


def end_of(spec: Spec) -> End:
    """How the graph has to end, whatever happens on the way. Raises Ambiguous."""
    steps: dict[str, Spec] = {step["id"]: PLAIN | step for step in spec["steps"]}
    parents: dict[str, str | None] = dict.fromkeys(steps)
    ended: dict[str, tuple[str, int | None]] = {}
    records: dict[str, int] = {}
    while len(ended) < len(steps):
        moved = False
        for step in list(steps.values()):
            if step["id"] in ended or not _is_decided(step, parents, ended):
                continue
            status, value = ended[step["id"]] = _run(step, parents, ended)
            moved = True
            if status == "succeeded":
                assert value is not None
                records.update(dict.fromkeys(step["records"], value))
                for child in step["emits"]:
                    steps[child["id"]] = PLAIN | child
                    parents[child["id"]] = step["id"]
        assert moved, "the graph has a cycle"
    return End(_status(steps, ended), ended, records, parents)


def _below(target: str, parents: Mapping[str, str | None]) -> Iterator[str]:
    for step, parent in parents.items():
        if parent == target:
            yield step
            yield from _below(step, parents)


def _targets(step: Spec, parents: Mapping[str, str | None]) -> dict[str, str]:
    """What a step waits for, and on which condition."""
    found: dict[str, str] = {}
    for target, condition, subtree in step["edges"]:
        found[target] = condition
        if subtree:
            for other in _below(target, parents):
                # Of two conditions on one step the stricter one holds.
                if found.get(other, condition) != condition:
                    raise Ambiguous
                found[other] = condition
    return found


def _is_decided(step: Spec, parents: Mapping[str, str | None], ended: Ended) -> bool:
    """Whether everything it waits for has ended, by the last look at least."""
    return all(target in ended for target in _targets(step, parents))


def _run(step: Spec, parents: Mapping[str, str | None], ended: Ended) -> tuple[str, int | None]:
    verdicts = {_verdict(on, ended[target][0]) for target, on in _targets(step, parents).items()}
    dropped = verdicts & {"canceled", "skipped"}
    if len(dropped) > 1:
        raise Ambiguous
    if dropped:
        return dropped.pop(), None
    if step["ends"] == "failed":
        return "failed", None
    values = [ended[target][1] or 0 for target in _targets(step, parents)]
    return "succeeded", step["worth"] + (7 if step["topic"] else 0) + sum(values)


def _verdict(condition: str, status: str) -> str:
    if condition in ("finished", status):
        return "met"
    if condition == "failed" or status == "skipped":
        return "skipped"
    return "canceled"


def _status(steps: Mapping[str, Spec], ended: Ended) -> str:
    caught = {
        target for step in steps.values() for target, on, _ in step["edges"] if on == "failed"
    }
    bad = [
        name
        for name, (status, _) in ended.items()
        if status == "failed" and not steps[name]["allowed"] and name not in caught
    ]
    return "failed" if bad else "succeeded"
