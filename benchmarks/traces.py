"""Real workflows, replayed: WfCommons instances whose tasks sleep for their scaled runtimes.

The bound that no scheduler gets below is the longer of the critical path and all work shared among
the slots. What a schedule without any overhead takes, with the same priorities, is the floor: where
tasks are few and long, slots must stay empty and no order gets down to the bound.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx

from benchmarks.package import bench
from benchmarks.place import running
from stepwell import RunStatus, Settings

LONGEST = 600.0


@dataclass(frozen=True)
class Trace:
    """A workflow: how long each task runs, and the tasks it comes after."""

    name: str
    runtimes: dict[str, float]
    parents: dict[str, list[str]] = field(repr=False)

    @cached_property
    def order(self) -> list[str]:
        """All tasks, each after its parents."""
        graph: Any = nx.DiGraph()
        graph.add_nodes_from(self.runtimes)
        graph.add_edges_from((up, down) for down, ups in self.parents.items() for up in ups)
        return list(nx.topological_sort(graph))

    @cached_property
    def children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for down, ups in self.parents.items():
            for up in ups:
                found[up].append(down)
        return found

    @cached_property
    def ahead(self) -> dict[str, float]:
        """The longest way from the start of each task to the end of the workflow, in seconds."""
        found: dict[str, float] = {}
        for task in reversed(self.order):
            below = (found[child] for child in self.children[task])
            found[task] = self.runtimes[task] + max(below, default=0.0)
        return found

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Priorities: the task with the longest way ahead comes first.

        Of those with equal ways the shortest does: more of its way is left to others.
        """
        ways = {task: (-way, self.runtimes[task]) for task, way in self.ahead.items()}
        rank = {way: number for number, way in enumerate(sorted(set(ways.values())))}
        return {task: rank[way] for task, way in ways.items()}

    def bound(self, slots: int) -> float:
        """The longer of the critical path and all work shared among the slots."""
        return max(*self.ahead.values(), sum(self.runtimes.values()) / slots)

    def floor(self, slots: int) -> float:
        """The makespan with these priorities, if nothing but the tasks took time.

        Among equals the order is the engine's: by when they became ready, then as they were made.
        """
        made = {task: number for number, task in enumerate(self.order)}
        waiting = {task: len(self.parents[task]) for task in self.order}
        ready = [(self.ranks[task], 0.0, made[task]) for task in self.order if not waiting[task]]
        heapq.heapify(ready)
        running: list[tuple[float, int]] = []
        now = 0.0
        while ready or running:
            while ready and len(running) < slots:
                *_, number = heapq.heappop(ready)
                heapq.heappush(running, (now + self.runtimes[self.order[number]], number))
            now, number = heapq.heappop(running)
            for child in self.children[self.order[number]]:
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(ready, (self.ranks[child], now, made[child]))
        return now

    def scaled(self, slots: int, span: float) -> Trace:
        """The same workflow with a bound of `span` seconds."""
        factor = span / self.bound(slots)
        runtimes = {task: seconds * factor for task, seconds in self.runtimes.items()}
        return Trace(self.name, runtimes, self.parents)


def read(path: Path) -> Trace:
    """A workflow in WfFormat 1.5: ids and parents of its specification, measured runtimes."""
    workflow = json.loads(path.read_text())["workflow"]
    runtimes = {task["id"]: task["runtimeInSeconds"] for task in workflow["execution"]["tasks"]}
    tasks = workflow["specification"]["tasks"]
    parents = {task["id"]: list(task.get("parents", ())) for task in tasks}
    missing = parents.keys() ^ runtimes.keys()
    if missing:
        raise ValueError(f"{path.name}: task {min(missing)!r} is not in both of its lists")
    return Trace(path.stem, runtimes, parents)


def replay(place: str, path: str, slots: int, span: float) -> dict[str, float]:
    """From the start of the work to the end of the run, in seconds, beside bound and floor."""
    trace = read(Path(path)).scaled(slots, span)
    given = {
        "tasks": [
            {
                "id": task,
                "seconds": trace.runtimes[task],
                "parents": trace.parents[task],
                "priority": trace.ranks[task],
            }
            for task in trace.order
        ]
    }
    settings = Settings(threads=slots)
    with running(place, bench, settings) as (runtime, _):
        run = runtime.start_run("bench", given, entrypoint="trace")
        begun = time.perf_counter()
        runtime.drain(run.id, LONGEST)
        makespan = time.perf_counter() - begun
        if runtime.run(run.id).status is not RunStatus.SUCCEEDED:
            raise RuntimeError(f"the run of {trace.name} did not succeed")
    return {"makespan": makespan, "bound": trace.bound(slots), "floor": trace.floor(slots)}
