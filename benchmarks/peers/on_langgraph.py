"""LangGraph with its SQLite checkpointer: a node that follows itself, and a fan-out by `Send`.

Its docs call "sync" the durability that saves each step before the next one begins, as we do;
"async" is the default and is measured beside it.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import operator
import sqlite3
import sys
from functools import partial
from itertools import count as numbers
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.peers import timing

_threads = numbers()


class Chain(TypedDict):
    done: int
    count: int


class Fan(TypedDict):
    count: int
    found: Annotated[list[int], operator.add]


def chain(saver: SqliteSaver) -> Any:
    graph: Any = StateGraph(Chain)
    graph.add_node("noop", lambda state: {"done": state["done"] + 1})
    graph.add_edge(START, "noop")
    graph.add_conditional_edges(
        "noop", lambda state: "noop" if state["done"] < state["count"] else END, ["noop", END]
    )
    return graph.compile(checkpointer=saver)


def fan(saver: SqliteSaver) -> Any:
    graph: Any = StateGraph(Fan)
    graph.add_node("noop", lambda number: {"found": [number]})
    graph.add_node("join", lambda _: {})
    graph.add_conditional_edges(
        START, lambda state: [Send("noop", number) for number in range(state["count"])], ["noop"]
    )
    graph.add_edge("noop", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=saver)


def run(graph: Any, given: dict[str, object], durability: str) -> Any:
    config = {"configurable": {"thread_id": str(next(_threads))}, "recursion_limit": 1_000_000}
    return graph.invoke(given, config, durability=durability)


def main(folder: str, repeats: int, scale: float) -> None:
    connection = sqlite3.connect(Path(folder, "graph.db"), check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    chained, fanned = chain(saver), fan(saver)
    length, width = timing.size(1_000, scale), timing.size(1_000, scale)
    rows = []
    for durability in ("sync", "async"):
        rows += [
            timing.rate(
                f"chain of {length:,}, {durability}",
                length,
                repeats,
                partial(run, chained, {"done": 0, "count": length}, durability),
            ),
            timing.rate(
                f"fan-out/fan-in of {width:,}, {durability}",
                width + 1,
                repeats,
                partial(run, fanned, {"count": width, "found": []}, durability),
            ),
        ]
    timing.report(rows, timing.pragmas(connection))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
