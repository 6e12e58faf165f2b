"""What workers grind and clients ask for while both are killed."""

from __future__ import annotations

import json
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepwell import Conflict, Package, RefusedByState, RunBuilder, Runtime, StepContext

WIDTH = 3
MESSAGE = 1_000
# What a run of each entrypoint comes to.
ENDS: dict[str, dict[str, Any]] = {
    "graph": {"split": WIDTH, "join": sum(n * n for n in range(WIDTH)), "last": "kept"},
    "talk": {"talk": ["one", MESSAGE, "two"]},
}

workload = Package("workload")


def append(path: Path, *words: object, sync: bool = False) -> None:
    """A line, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, json.dumps(words).encode() + b"\n")
        if sync:
            os.fsync(file)
    finally:
        os.close(file)


def lines(path: Path) -> list[list[Any]]:
    """The lines of a file; one that was not written to its end does not count."""
    if not path.exists():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def began(step: StepContext) -> None:
    """A body begins: outside, that is seen each time."""
    append(step.app / "bodies", step.run.id, step.step.id, step.attempt)


@workload.executor("workload.split")
def split(step: StepContext, width: int) -> int:
    began(step)
    for number in range(width):
        step.emit(grind, number, id=f"grind-{number}")
    return width


@workload.executor("workload.grind")
def grind(step: StepContext, number: int) -> int:
    began(step)
    step.record("squares", f"{step.run.id}/{number}", {"square": number * number})
    step.artifact("flour", f"{step.run.id} {number}")
    return number * number


@workload.executor("workload.join")
def join(step: StepContext, width: int) -> int:
    began(step)
    projection = step.projection("ledger")
    projection.execute("CREATE TABLE IF NOT EXISTS entries (run TEXT, amount BIGINT)")
    key = step.run.id
    projection.once(lambda tx: tx.execute("INSERT INTO entries VALUES (?, 1)", (key,)))
    return sum(n * n for n in range(width))


@workload.executor("workload.keep")
def keep(step: StepContext) -> str:
    began(step)
    step.store_artifact("sack", f"sack of {step.run.id}")
    return "kept"


@workload.entrypoint
def graph(run: RunBuilder) -> None:
    root = run.step(split, WIDTH, id="split")
    joined = run.step(join, WIDTH, id="join", after_subtree=[root])
    run.step(keep, id="last", after=[joined])


@workload.workflow(max_recoveries=1_000)
def talk(step: StepContext) -> list[Any]:
    def effect(name: str) -> dict[str, str]:
        nonce = os.urandom(6).hex()
        append(step.app / "effects", step.run.id, name, nonce)
        return {"name": name, "nonce": nonce}

    began(step)
    first = step.do("one", effect, "one")["name"]
    heard = step.receive("go", int)
    return [first, heard, step.do("two", effect, "two")["name"]]


def ask(runtime: Runtime, told: Path, prefix: str, chance: random.Random) -> None:
    """A client: starts runs, sends messages, waits for results, and notes all it is told."""
    for number in range(1_000_000):
        kind = chance.choice(sorted(ENDS))
        run_id = f"{prefix}-{number}"
        runtime.start_run(workload, run_id=run_id, entrypoint=kind)
        append(told, "run", run_id, kind, sync=True)
        if kind == "talk":
            for _ in range(2):  # a client that is not sure asks again
                runtime.send(run_id, "go", MESSAGE, key="the one")
            append(told, "message", run_id, "the one", sync=True)
        runtime.kv.set(f"kv/{prefix}", number)
        append(told, "kv", f"kv/{prefix}", number, sync=True)
        if chance.random() < 0.7:
            runtime.wait(run_id, timeout=60)
            for step_id, value in ENDS[kind].items():
                found = runtime.result(run_id, step_id).value
                append(told, "result", run_id, step_id, found, sync=True)
                assert found == value


def send_again(runtime: Runtime, run_id: str) -> None:
    """The message that a client did not live to send."""
    with suppress(Conflict, RefusedByState):
        runtime.send(run_id, "go", MESSAGE, key="the one")
