"""Whatever data one step makes, its worker goes on: at the worst that step fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stepwell import Package, RunBuilder, StepContext, connect

PATIENCE = 120

# Too long for a row of an index, and nothing that could be packed into one.
LONG = "".join(random.Random(1).choices("0123456789abcdefghijklmnopqrstuvwxyz€é", k=12_000))
TEXTS = {
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "pair of surrogates": "\ud83d\ude00",
    "long": LONG,
    "long and plain": "x" * 100_000,
    "empty": "",
    "quotes": "it's \"\\'; DROP TABLE runs; --",
    "no BMP": "𝄞" * 50,
    "controls": "\x01\x1b\r\n\u2028\u202e\ufeff\uffff",
    "unfit": "unfit",
    "format": "%s %(x)s {} {0} $1 ? :name",
}
VALUES: dict[str, Any] = {
    "huge number": 10**400,
    "64 bits": 2**63,
    "negative": -(2**63) - 1,
    "many digits": 10**4000,
    "tiny": 5e-324,
    "exponent": 1e308,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "deep": [[[[[[]]]]]] * 3,
    "nested": {"a" * 500: {"\0": "\0"}},
    "bytes": b"\xff",
    "a megabyte": "€" * 400_000,
    "many": list(range(100_000)),
}


class Odd(Exception):
    """Its text is odd, and so may be its name."""


def fail_with(text: str) -> None:
    raise Odd(text)


def fail_by_name(text: str) -> None:
    raise type(text.replace("\0", "") or "Nameless", (Exception,), {})(text)


def note(step: StepContext, text: str) -> None:
    error = ValueError("noted")
    error.add_note(text)
    raise error


odd = Package("odd")


@odd.executor("odd.plain")
def plain(step: StepContext, value: Any) -> str:
    return "beside"


# Where a step hands text over.
ROADS: dict[str, Callable[[StepContext, str], object]] = {
    "result": lambda step, text: step.result(text),
    "record key": lambda step, text: step.record("things", text, 1),
    "record collection": lambda step, text: step.record(text, "key", 1),
    "artifact name": lambda step, text: step.artifact(text, b"x"),
    "artifact kind": lambda step, text: step.artifact("a.txt", b"x", kind=text),
    "artifact type": lambda step, text: step.artifact("a.txt", b"x", content_type=text),
    "artifact metadata": lambda step, text: step.artifact("a.txt", b"x", metadata={text: text}),
    "emitted id": lambda step, text: step.emit("odd.plain", 1, id=text),
    "emitted dedup key": lambda step, text: step.emit("odd.plain", 1, dedup_key=text),
    "emitted kind": lambda step, text: step.emit(text, 1),
    "emitted queue": lambda step, text: step.emit("odd.plain", 1, queue=text),
    "emitted metadata": lambda step, text: step.emit("odd.plain", 1, metadata={text: text}),
    "emitted input": lambda step, text: step.emit("odd.plain", text),
    "message topic": lambda step, text: step.send(step.run.id, text, 1),
    "message key": lambda step, text: step.send(step.run.id, "topic", 1, key=text),
    "message run": lambda step, text: step.send(text, "topic", 1),
    "value key": lambda step, text: step.set_value(text, 1),
    "value": lambda step, text: step.set_value("key", text),
    "operation": lambda step, text: step.do(text, int),
    "operation's result": lambda step, text: step.do("text", lambda: text),
    "awaited topic": lambda step, text: step.receive(text, timeout=0.01, default=None),
    "awaited run": lambda step, text: step.wait_for_value(text, "key", timeout=0.01),
    "error": lambda _, text: fail_with(text),
    "error's name": lambda _, text: fail_by_name(text),
    "error's note": note,
}
VALUE_ROADS = ("result", "emitted input", "value", "operation's result")


@odd.executor("odd.act")
def act(step: StepContext, case: list[str]) -> None:
    road, text = case
    ROADS[road](step, {**TEXTS, **VALUES}[text])


@odd.entrypoint
def start(run: RunBuilder, cases: list[tuple[str, str]]) -> None:
    for number, (road, text) in enumerate(cases):
        run.step(act, [road, text], id=f"odd:{number}", allow_failure=True)
        run.step(plain, number, id=f"beside:{number}")


CASES = [(road, text) for road in ROADS for text in TEXTS]
CASES += [(road, value) for road in VALUE_ROADS for value in VALUES]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_data_of_a_step_ends_its_worker(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/engine.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
    settings = {"payload_limit": 8_000_000, "lease": 20}
    with connect(url, home=tmp_path, packages=[odd], settings=settings) as runtime:
        # given: steps with all of it, in the same claims and commits as plain ones
        run = runtime.start_run("odd", CASES)

        # when
        runtime.drain(run.id, timeout=PATIENCE)

        # then: all have ended, and those beside them well
        steps = {step.id: step for step in runtime.steps(run.id, limit=10_000)}
        beside = [step for step in steps.values() if step.kind == "odd.plain"]
        assert all(step.status == "succeeded" for step in beside)
        for number, (road, text) in enumerate(CASES):
            step = steps[f"odd:{number}"]
            assert step.status in ("succeeded", "failed"), (road, text)
            if step.error is not None:
                # As what was handed over is refused, not as trouble of the store.
                assert step.error.code not in ("store_error", "corrupt_data"), (road, text)
                assert step.attempt == 1, (road, text)
        assert runtime.verify().ok


def test_a_row_beyond_the_limits_of_the_database_fails_its_step_alone(
    postgres_url: str, tmp_path: Path
) -> None:
    # given: a server that refuses one result as beyond its limits, as it does with documents of
    # some hundred megabytes and with rows of an index
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.value LIKE '%unfit%' THEN RAISE EXCEPTION 'too long' USING ERRCODE = '54000'; "
        "END IF; RETURN NEW; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON results FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in refuse:
            connection.execute(statement.encode())
        try:
            with connect(postgres_url, home=tmp_path, packages=[odd]) as runtime:
                run = runtime.start_run("odd", [("result", "unfit"), ("result", "empty")])

                # when
                runtime.drain(run.id, timeout=PATIENCE)

                # then
                steps = {step.id: step for step in runtime.steps(run.id)}
                failed = steps.pop("odd:0")
                assert failed.error is not None
                assert (failed.status, failed.error.code) == ("failed", "invalid_input")
                assert "the store refused the step's result and effects" in failed.error.message
                assert {step.status for step in steps.values()} == {"succeeded"}
        finally:
            connection.execute("DROP FUNCTION refuse CASCADE")
