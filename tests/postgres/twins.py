"""Two stores that are told the same, one for each plan, and must stay the same row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import psycopg

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import StepwellError
from stepwell.engine.exchange import (
    ClaimedStep,
    ClaimRequest,
    Completed,
    Edge,
    Exchange,
    NewRun,
    NewStep,
    Outcome,
    PoolRequest,
    Refusal,
    Several,
    Suspended,
    Wait,
)
from stepwell.engine.states import STEP_ENDED, Condition
from stepwell.stores.sql.schema import tables
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import (
    LEASE,
    claim_request,
    completed,
    failed,
    new_artifact,
    new_message,
    new_record,
    new_run,
    new_step,
    released,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR

SECOND = timedelta(seconds=1)
NARROW, RATED, WIDE = "narrow", "rated", "default"
KINDS = ("work", "other")
TOPICS = ("t", "u")
CONDITIONS = (Condition.SUCCEEDED,) * 8 + (Condition.FINISHED,) * 3 + (Condition.FAILED,)
MOST_LOST = 2
# One execution as both stores gave it out.
Pair = tuple[ClaimedStep, ClaimedStep]


class Twins:
    """Draws what happens, does it to both stores, and compares what they say."""

    def __init__(
        self, stores: Sequence[SqlRunStore], urls: Sequence[str], clock: VirtualClock, seed: int
    ) -> None:
        self._stores, self._urls, self._clock = stores, urls, clock
        self._chance = Random(seed)
        self._runs: list[str] = []
        # Held, or held once: an outcome of a lease that is gone is refused.
        self._held: list[Pair] = []
        self._made = 0

    def step(self) -> None:
        """One thing more happens."""
        acts = (
            *((self._exchange,) * 16 + (self._create,) * 3),
            *(self._pass_time, self._reap, self._renew, self._operate, self._send, self._publish),
        )
        self._chance.choice(acts)()

    def _both(self, act: Callable[[SqlRunStore, int], Any]) -> tuple[Any, Any]:
        """Do it to both; what they answer, or refuse it with, is the same."""
        answers: list[Any] = []
        for side, store in enumerate(self._stores):
            try:
                answers.append(_comparable(act(store, side)))
            except StepwellError as error:
                answers.append(f"{type(error).__name__}: {error}".replace(self._urls[side], "url"))
        assert answers[0] == answers[1], "\nis not\n".join(map(_short, answers))
        return answers[0], answers[1]

    # --- what may happen --------------------------------------------------------------------

    def _create(self) -> None:
        run = self._new_run(self._chance.choice(["", "", "", "r1"]))
        if self._chance.random() < 0.3:
            claim = self._claim()
            answers = self._both(lambda store, _: store.create_and_claim(run, claim))
            if not isinstance(answers[0], str):
                self._take((answers[0][1], answers[1][1]))
        else:
            self._both(lambda store, _: store.create_run(run))
        self._runs = sorted({*self._runs, run.id})

    def _exchange(self) -> None:
        chance = self._chance
        most = min(len(self._held), chance.choice([0, 1, 2, 5, 20, 20]))
        settled = [self._held.pop(chance.randrange(len(self._held))) for _ in range(most)]
        outcomes = [self._outcome(pair) for pair in settled]
        if settled and chance.random() < 0.2:  # told once more, later
            self._held.append(settled[0])
        claim = self._claim() if not outcomes or chance.random() < 0.8 else None
        answers = self._both(
            lambda store, side: store.exchange([outcome[side] for outcome in outcomes], claim)
        )
        self._take(answers)

    def _take(self, answers: tuple[Any, Any]) -> None:
        if isinstance(answers[0], Exchange):
            # What was refused is still held, and may be settled otherwise.
            again = zip(answers[0].refused, answers[1].refused, strict=True)
            self._held += [(one.step, other.step) for one, other in again]
            pairs = zip(answers[0].claimed, answers[1].claimed, strict=True)
            self._held += pairs

    def _pass_time(self) -> None:
        self._clock.advance(self._chance.choice([1, 3, 20, 31]) * SECOND)

    def _reap(self) -> None:
        self._both(lambda store, _: store.reap(MOST_LOST))

    def _renew(self) -> None:
        if self._chance.random() < 0.7:
            lease = int(LEASE.total_seconds() * 1e6)
            self._both(lambda store, side: store.renew("w1", [p[side] for p in self._held], lease))
        else:
            kept = self._held[: self._chance.randrange(3)]
            self._both(lambda store, side: store.release_others("w1", [p[side] for p in kept]))

    def _operate(self) -> None:
        if not self._runs:
            return
        run = self._chance.choice(self._runs)
        step = self._some_step()
        acts: list[Callable[[SqlRunStore], Any]] = [
            lambda store: store.cancel_run(run, OPERATOR),
            lambda store: store.pause_run(run, OPERATOR),
            lambda store: store.resume_run(run, OPERATOR),
            lambda store: store.resume_run(run, OPERATOR),
            lambda store: store.hold_step(run, step, OPERATOR),
            lambda store: store.release_step(run, step, OPERATOR),
            lambda store: store.retry_run(run, OPERATOR),
            lambda store: store.retry_step(run, step, OPERATOR),
        ]
        act = self._chance.choice(acts)
        self._both(lambda store, _: act(store))

    def _send(self) -> None:
        if self._runs:
            message = self._message()
            self._both(lambda store, _: store.send(message, "somebody"))

    def _publish(self) -> None:
        if self._held:
            pair, key = self._chance.choice(self._held), self._chance.choice("xy")
            operation = f"set{self._chance.randrange(9)}"
            self._both(lambda store, side: store.set_value(pair[side], key, "1", operation))

    # --- what is drawn ----------------------------------------------------------------------

    def _name(self) -> str:
        self._made += 1
        return f"n{self._made}"

    def _some_step(self) -> str:
        pairs = self._held
        return self._chance.choice(pairs)[0].id if pairs else "s0"

    def _new_run(self, id: str = "") -> NewRun:
        steps: list[NewStep] = []
        for number in range(self._chance.choice([0, 1, 5, 9, 9])):
            steps.append(self._new_step(f"s{number}", [step.id for step in steps]))
        return new_run(id or self._name(), *steps)

    def _new_step(self, id: str, before: Sequence[str], **fields: Any) -> NewStep:
        chance = self._chance
        targets = chance.sample(before, min(len(before), chance.choice([0, 1, 2, 2, 3])))
        edges = (
            Edge(target, chance.choice(CONDITIONS), subtree=chance.random() < 0.3)
            for target in targets
        )
        return new_step(
            id,
            *edges,
            kind=chance.choice(KINDS),
            queue=chance.choice([*[WIDE] * 6, NARROW, RATED]),
            priority=chance.choice([0, 0, 0, -1, 2]),
            allow_failure=chance.random() < 0.2,
            **fields,
        )

    def _claim(self) -> ClaimRequest:
        chance = self._chance
        # Which of several kinds, and of suspects, come first where a queue lets few through is not
        # promised: the stepwise plan asks pool after pool, the fused one looks at all of them.
        kinds = chance.choice([*[KINDS] * 4, KINDS[:1], KINDS[1:]])
        wide = kinds == KINDS
        request = claim_request(
            chance.choice([1, 3, 100, 100]),
            worker=chance.choice(["w1", "w1", "w2"]),
            kinds=kinds,
            queues=[WIDE] if wide else None,
            suspects=wide,
        )
        if wide and chance.random() < 0.5:
            pools = tuple(PoolRequest((kind,), chance.choice([1, 3])) for kind in KINDS)
            request = replace(request, pools=pools)
        return request

    def _outcome(self, pair: Pair) -> tuple[Outcome, Outcome]:
        draw = self._chance.choice(
            (*((self._completed,) * 12), self._failed, self._released, self._suspended)
        )
        made = draw(pair[0])
        return made, replace(made, step=pair[1])

    def _completed(self, step: ClaimedStep) -> Completed:
        chance = self._chance
        made: dict[str, Any] = {}
        if chance.random() < 0.2:
            made["records"] = [new_record("c", chance.choice("ab"), self._made)]
        if chance.random() < 0.1:
            made["artifacts"] = [new_artifact(self._name())]
        if chance.random() < 0.2:
            made["messages"] = [self._message()]
        if chance.random() < 0.15:
            made["emitted"] = self._emitted(step)
        return completed(step, self._name(), **made)

    def _emitted(self, step: ClaimedStep) -> list[NewStep]:
        steps: list[NewStep] = []
        for _ in range(self._chance.choice([1, 2, 4])):
            # Some of these do not exist, would wait for themselves, or were emitted before.
            before = [*(new.id for new in steps), step.id, self._some_step(), "s0"]
            dedup_key = self._chance.choice([None, None, None, f"d{self._chance.randrange(4)}"])
            id = self._name() if self._chance.random() < 0.97 else "s1"
            steps.append(self._new_step(id, list(dict.fromkeys(before)), dedup_key=dedup_key))
        return steps

    def _failed(self, step: ClaimedStep) -> Outcome:
        return failed(step, retry_in=self._chance.choice([None, SECOND, 0 * SECOND]))

    def _released(self, step: ClaimedStep) -> Outcome:
        return released(step)

    def _suspended(self, step: ClaimedStep) -> Suspended:
        chance = self._chance
        until = chance.choice([None, self._clock.micros() + 2_000_000])
        messages = [self._message()] if chance.random() < 0.2 else []
        if chance.random() < 0.3:
            child = self._new_run(chance.choice(["", "", "r1"]))
            self._runs = sorted({*self._runs, child.id})
            return suspended(step, start=child, until=until, messages=messages)
        waits = [self._wait(number) for number in range(chance.choice([1, 2, 3]))]
        if len(waits) == 1:
            wait = replace(waits[0], until=until)
        else:
            several = Several(tuple(waits), None, until)
            kind = chance.choice(["any", "all"])
            wait = Wait(until=until, kind=kind, operation="several", several=several)
        return Suspended(step, wait, messages)

    def _wait(self, number: int) -> Wait:
        chance, operation = self._chance, f"w{number}"
        run = chance.choice([*self._runs, "nowhere"])
        return chance.choice(
            [
                Wait(topic=chance.choice(TOPICS), kind="message", operation=operation),
                Wait(value=(run, chance.choice("xy")), kind="value", operation=operation),
                Wait(run_id=run, operation=operation),
            ]
        )

    def _message(self) -> Any:
        run = self._chance.choice([*self._runs, "nowhere"])
        key = self._chance.choice([None, "k1", "k2"])
        return new_message(run, self._chance.choice(TOPICS), self._made, key=key)

    # --- what must be the same --------------------------------------------------------------

    def compare(self) -> None:
        """Every row of every table is the same in both databases."""
        here, there = (_rows(url) for url in self._urls)
        for name in here:
            if here[name] != there[name]:
                only = [row for row in here[name] if row not in there[name]]
                other = [row for row in there[name] if row not in here[name]]
                raise AssertionError(f"{name}: {only} is not {other}")


def _short(answer: Any) -> str:
    """An answer in a message: steps by their names."""
    if not isinstance(answer, Exchange):
        return str(answer)
    claimed = [(step.run.id, step.id, step.queue, step.token) for step in answer.claimed]
    lost = [(one.step.run.id, one.step.id, one.reason) for one in answer.lost]
    refused = [(one.step.run.id, one.step.id, str(one.error)) for one in answer.refused]
    return f"{claimed=} {lost=} {refused=} {answer.ended_runs} {answer.control} {answer.wake_at}"


def _comparable(answer: Any) -> Any:
    """An answer without what may differ: whether others are to look is a guess of each plan."""
    if isinstance(answer, Exchange):
        refused = [Refusal(one.step, Said(str(one.error))) for one in answer.refused]
        return replace(answer, hinted=False, refused=refused)
    if isinstance(answer, tuple):
        return tuple(map(_comparable, answer))
    return answer


class Said(Exception):
    """An error that equals another one which says the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Said) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


def _rows(url: str) -> dict[str, list[Any]]:
    """All rows of a database, by table, in one order."""
    found: dict[str, list[Any]] = {}
    with psycopg.connect(url) as connection:
        for table in tables.METADATA.sorted_tables:
            rows = connection.execute(f'SELECT * FROM "{table.name}"'.encode()).fetchall()
            found[table.name] = sorted(map(tuple, rows), key=repr)
    # Of a step that ended, what it still waited for means nothing: a retry counts that anew. The
    # fused plan has counted down before it learns that the step is dropped.
    names = tables.steps.columns.keys()
    status, pending = names.index("status"), names.index("pending")
    found["steps"] = [
        (*row[:pending], None, *row[pending + 1 :]) if row[status] in STEP_ENDED else row
        for row in found["steps"]
    ]
    # What one transaction tells of a run has consecutive numbers; which of them the fused plan
    # gives to the steps that succeeded is its own affair, as it tells of those first.
    events = found.pop("events")
    found["numbers of events"] = sorted((run, at, seq) for run, seq, _, at, *_ in events)
    found["events"] = sorted(((run, kind, *rest) for run, _, kind, *rest in events), key=repr)
    return found
