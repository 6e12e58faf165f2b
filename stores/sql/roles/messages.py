"""The messages of runs, and decisions on what steps ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.clock import to_datetime
from stepwell.engine.crash_points import Write
from stepwell.engine.errors import Conflict, InvalidInput, RefusedByState
from stepwell.engine.events import EventType
from stepwell.engine.exchange import Arrival, ClaimedStep, NewMessage, Wait
from stepwell.engine.model import Message, Operator
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.states import RUN_ENDED, StepStatus
from stepwell.engine.wait_rules import APPROVAL, approval_topic, check_message_key, check_topic
from stepwell.stores.sql.connection.corruption import decodes, reads_stored
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    literal,
    rows_json,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.arrivals import ArrivalStatements, look
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.roles.lookup import Lookup
from stepwell.stores.sql.roles.writer import Writer
from stepwell.stores.sql.schema import tables

messages, steps = tables.messages, tables.steps


class MailboxStatements(Statements):
    """Reading messages, and finding who waits for a decision."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        listed = (
            sa.select(
                *(messages.c.id, messages.c.topic, messages.c.payload, messages.c.key),
                *(messages.c.sender, steps.c.step_id, messages.c.created_at, messages.c.operation),
            )
            .select_from(messages.outerjoin(steps, steps.c.id == messages.c.receiver))
            .where(messages.c.run_key == bind("run_key"))
            .order_by(messages.c.id)
        )
        self.of_run = Statement(listed, "run_key")
        self.of_topic = Statement(
            listed.where(messages.c.topic == bind("topic")), "run_key", "topic"
        )
        self.asking = Statement(_asking(), "run_key", "prefix")
        self.step_asking = Statement(
            _asking(steps.c.id == bind("step")), "run_key", "prefix", "step"
        )
        self.unreceived = Statement(
            sa.select(messages.c.id, messages.c.topic).where(
                messages.c.id.in_(dialect.scalars("ids")), messages.c.receiver.is_(None)
            ),
            "ids",
        )
        self.decided = Statement(
            sa.select(messages.c.payload)
            .where(
                messages.c.run_key == bind("run_key"),
                sa.func.substr(messages.c.key, 1, sa.func.length(bind("prefix"))) == bind("prefix"),
            )
            .order_by(messages.c.id.desc())
            .limit(1),
            *("run_key", "prefix"),
        )


def _asking(*which: Any) -> Any:
    """Key, id, name and time limit of the steps that wait for a decision, among others or not."""

    def of_name(name: Any, limit: Any, source: Any) -> Any:
        return (
            sa.select(steps.c.id, steps.c.step_id, name, limit)
            .select_from(source)
            .where(
                steps.c.run_key == bind("run_key"),
                steps.c.status == literal(StepStatus.WAITING),
                sa.func.substr(name, 1, sa.func.length(bind("prefix"))) == bind("prefix"),
                *which,
            )
        )

    several = tables.waits
    beside = several.join(steps, steps.c.id == several.c.step)
    # Where all are waited for, the time may be that of a sleep: then the worker decides.
    limit = sa.case((steps.c.wait_for == wait_names.ANY, steps.c.wake_at))
    one = of_name(steps.c.wait_for, steps.c.wake_at, steps)
    return sa.union_all(one, of_name(several.c.name, limit, beside)).order_by(sa.text("1"))


def _refused(operation: str, message: int) -> str:
    """Stands for the operation of a message that it refused: no operation is called so."""
    return f"{operation} refused {message}"


class Mailbox:
    """The role `ports.Messages`."""

    def __init__(self, writer: Writer, lookup: Lookup, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._lookup = lookup
        self._graphs = parts.graphs
        self._messages = parts.messages
        self._sql = MailboxStatements(self._db.dialect)
        self._arrivals = ArrivalStatements(self._db.dialect)

    @reads_stored
    def send(self, message: NewMessage, sender: str | None = None) -> bool:
        check_topic(message.topic)
        if message.key is not None:
            check_message_key(message.key)

        def work(tx: StoreTransaction, changes: Changes) -> bool:
            run_key, status = self._writer.locked_run(tx, message.run_id)
            # Whoever asks again gets the same answer, also when the run has ended meanwhile.
            if message.key is not None and self._messages.is_known(tx, run_key, message.key):
                return False
            if status in RUN_ENDED:
                raise RefusedByState(
                    f"run {message.run_id!r} is {status}; it takes no messages any more"
                )
            self._messages.add(tx, changes, run_key, message, sender)
            return True

        return self._writer.write(work, Write.SEND)

    @reads_stored
    def receive(self, step: ClaimedStep, topic: str, operation: str) -> str | None:
        def work(tx: StoreTransaction, changes: Changes) -> str | None:
            self._graphs.lock_runs(tx, [step.run.key])
            self._writer.check_lease(tx, step)
            sql = self._messages.sql
            given = sql.given(tx, step.key, operation).fetchone()
            if given is not None:
                return str(given[0])
            first = sql.first(tx, step.run.key, topic).fetchone()
            if first is None:
                return None
            key, payload = first
            sql.take(tx, step.key, operation, key)
            data = {"id": key, "topic": topic, "operation": operation}
            changes.event(
                step.run.key, EventType.MESSAGE_RECEIVED, step.key, step.attempt, data=data
            )
            return str(payload)

        return self._writer.write(work, Write.RECEIVE)

    def given(self, step: ClaimedStep, operation: str) -> int | None:
        with self._db.read() as tx:
            row = self._messages.sql.given(tx, step.key, operation).fetchone()
        return None if row is None else int(row[1])

    def refuse(self, step: ClaimedStep, operation: str, message: int) -> None:
        def work(tx: StoreTransaction, _: Changes) -> None:
            self._graphs.lock_runs(tx, [step.run.key])
            self._writer.check_lease(tx, step)
            refused = _refused(operation, message)
            self._messages.sql.refuse(tx, refused, message, step.key, operation)

        self._writer.write(work, Write.REFUSE)

    @reads_stored
    def arrivals(self, step: ClaimedStep, waits: Sequence[Wait]) -> list[Arrival | None]:
        with self._db.read() as tx:
            for wait in waits:
                run_id = wait.run_id if wait.value is None else wait.value[0]
                if run_id is not None:
                    self._lookup.run(tx, run_id)
            return look(tx, self._arrivals, step.key, step.run.key, waits)

    def take(self, step: ClaimedStep, messages: Sequence[tuple[int, str]]) -> bool:
        sql = self._messages.sql

        def work(tx: StoreTransaction, changes: Changes) -> bool:
            self._graphs.lock_runs(tx, [step.run.key])
            self._writer.check_lease(tx, step)
            held = {
                operation: sql.given(tx, step.key, operation).fetchone()
                for _, operation in messages
            }
            fresh = [(id_, operation) for id_, operation in messages if held[operation] is None]
            ids = rows_json([id_ for id_, _ in fresh])
            topics = dict(self._sql.unreceived(tx, ids).fetchall())
            if len(topics) < len(fresh):
                return False
            for id_, operation in fresh:
                sql.take(tx, step.key, operation, id_)
                data = {"id": id_, "topic": topics[id_], "operation": operation}
                received = EventType.MESSAGE_RECEIVED
                changes.event(step.run.key, received, step.key, step.attempt, data=data)
            return True

        return self._writer.write(work, Write.RECEIVE)

    @reads_stored
    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        with self._db.read() as tx:
            run_key = self._lookup.run(tx, run_id).key
            if topic is None:
                rows = self._sql.of_run(tx, run_key).fetchall()
            else:
                rows = self._sql.of_topic(tx, run_key, topic).fetchall()
        return [_message(run_id, row) for row in rows]

    @reads_stored
    def decide(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        def work(tx: StoreTransaction, changes: Changes) -> str:
            run_key, status = self._writer.locked_run(tx, run_id)
            key, name, topic = self._asking(tx, run_key, run_id, step_id, status)
            answer = {
                "approved": approved,
                "comment": by.reason,
                "by": by.by,
                "at": to_datetime(tx.now),
            }
            # The key says whose question was answered, for those who answer it again.
            known = f"{APPROVAL}{key}:{topic.removeprefix(approval_topic(name, ''))}"
            if self._messages.is_known(tx, run_key, known):
                raise Conflict(f"step {name!r}: this was decided before; that stands")
            message = NewMessage(run_id, topic, encode(answer, "decision"), known)
            data = {"approved": approved, "by": by.by, "reason": by.reason}
            changes.event(run_key, EventType.APPROVAL_DECIDED, key, data=data)
            self._messages.add(tx, changes, run_key, message, by.by)
            return name

        return self._writer.write(work, Write.DECIDE)

    def _asking(
        self, tx: StoreTransaction, run_key: int, run_id: str, step_id: str | None, status: str
    ) -> tuple[int, str, str]:
        """Key, id and topic of the one step whose question this is."""
        sql = self._sql
        beginning = wait_names.message_on(run_key, APPROVAL)
        if step_id is None:
            rows = sql.asking(tx, run_key, beginning).fetchall()
            subject, decided = f"run {run_id!r}", APPROVAL
        else:
            step = self._lookup.step(tx, run_id, step_id)
            rows = sql.step_asking(tx, run_key, beginning, step.key).fetchall()
            subject, decided = f"step {step_id!r}", f"{APPROVAL}{step.key}:"
            status = step.status
        open_ = _in_time(rows, tx.now)
        if len(open_) > 1:
            names = ", ".join(repr(row[1]) for row in open_[:10])
            raise InvalidInput(
                f"step: {len(open_)} steps of run {run_id!r} wait for a decision ({names}"
                f"{', …' if len(open_) > 10 else ''}); name one of them"
            )
        if open_:
            key, name, wait_for, _ = open_[0]
            return key, name, wait_for.removeprefix(wait_names.message_on(run_key, ""))
        if rows:
            until = _shown_time(rows[0][3])
            raise RefusedByState(f"step {rows[0][1]!r} waited until {until}; it is too late")
        before = sql.decided(tx, run_key, decided).fetchone()
        if before is not None:
            raise Conflict(f"{subject} was {_decision(before[0])} before; that stands")
        raise RefusedByState(f"{subject} is {status} and does not wait for a decision")


@decodes
def _message(run_id: str, row: Sequence[Any]) -> Message:
    id_, on, payload, key, sender, receiver, at, operation = row
    return Message(
        *(id_, run_id, on, decode(payload), key, sender, receiver, to_datetime(at)),
        refused=operation is not None and operation.endswith(_refused("", id_)),
    )


@decodes
def _in_time(rows: Sequence[Sequence[Any]], now: int) -> list[Sequence[Any]]:
    """Those who ask and whose time is not over."""
    return [row for row in rows if row[3] is None or row[3] > now]


@decodes
def _shown_time(at: int) -> str:
    return f"{to_datetime(at):%Y-%m-%d %H:%M:%SZ}"


@decodes
def _decision(text: str) -> str:
    """What was decided, and by whom."""
    answer = decode(text)
    return f"{'approved' if answer['approved'] else 'rejected'} by {answer['by']}"
