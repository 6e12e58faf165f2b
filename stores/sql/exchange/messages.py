"""Messages in a transaction given by the caller, whether a person, a step or an operator sends.

Adding or taking a message needs a lock on its run: so messages arrive in the order of their ids,
and two receivers never get the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, Completed, NewMessage, Suspended
from stepwell.engine.states import RUN_ENDED
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    insert,
    rows_json,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.waking import Waking
from stepwell.stores.sql.schema import tables

messages, runs, steps, values = tables.messages, tables.runs, tables.steps, tables.values

# Key and status of a run that does not exist.
_NO_RUN = (0, "unknown")
# An outcome that may have messages.
Sending = Completed | Suspended


class MessageStatements(Statements):
    """Adding, finding and taking."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._sending(dialect)
        self._receiving()
        self._arrived(dialect)

    def _sending(self, dialect: Any) -> None:
        self.add = insert(
            dialect,
            messages,
            *("run_key", "topic", "payload", "key", "sender", "created_at"),
        )
        keys = dialect.rows("rows", run_key=sa.BigInteger, key=sa.Text)
        self.known_keys = Statement(
            sa.select(messages.c.run_key, messages.c.key).where(
                messages.c.run_key == keys.c.run_key,
                messages.c.key == keys.c.key,
                messages.c.key.is_not(None),
            ),
            "rows",
        )
        self.runs_named = Statement(
            sa.select(runs.c.run_id, runs.c.id, runs.c.status).where(
                runs.c.run_id.in_(dialect.texts("names"))
            ),
            "names",
        )

    def _receiving(self) -> None:
        unreceived = messages.c.receiver.is_(None)
        self.given = Statement(
            sa.select(messages.c.payload, messages.c.id).where(
                messages.c.receiver == bind("step"),
                messages.c.operation == bind("operation"),
                messages.c.receiver.is_not(None),
            ),
            *("step", "operation"),
        )
        self.first = Statement(
            sa.select(messages.c.id, messages.c.payload)
            .where(
                messages.c.run_key == bind("run_key"),
                messages.c.topic == bind("topic"),
                unreceived,
            )
            .order_by(messages.c.id)
            .limit(1),
            *("run_key", "topic"),
        )
        self.take = Statement(
            sa.update(messages)
            .values(receiver=bind("step"), operation=bind("operation"))
            .where(messages.c.id == bind("id")),
            *("step", "operation", "id"),
        )
        self.refuse = Statement(
            sa.update(messages)
            .values(operation=bind("refused"))
            .where(
                messages.c.id == bind("id"),
                messages.c.receiver == bind("step"),
                messages.c.operation == bind("operation"),
            ),
            *("refused", "id", "step", "operation"),
        )

    def _arrived(self, dialect: Any) -> None:
        """Which of these waits, given as rows (step, …), are over already."""
        on_topic = dialect.rows(
            "rows", step=sa.BigInteger, run_key=sa.BigInteger, topic=sa.Text, operation=sa.Text
        )
        self.arrived = Statement(
            sa.union(
                sa.select(on_topic.c.step).where(
                    messages.c.run_key == on_topic.c.run_key,
                    messages.c.topic == on_topic.c.topic,
                    messages.c.receiver.is_(None),
                ),
                # For example taken by an execution that was canceled before its commit.
                sa.select(on_topic.c.step).where(
                    messages.c.receiver == on_topic.c.step,
                    messages.c.operation == on_topic.c.operation,
                    messages.c.receiver.is_not(None),
                ),
            ),
            "rows",
        )
        of_run = dialect.rows("rows", step=sa.BigInteger, run_id=sa.Text, key=sa.Text)
        self.published = Statement(
            sa.select(of_run.c.step)
            .distinct()
            .where(
                runs.c.run_id == of_run.c.run_id,
                values.c.run_key == runs.c.id,
                values.c.key == of_run.c.key,
            ),
            "rows",
        )


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message that a step sends, with the key and status of the run that it goes to."""

    step: ClaimedStep
    message: NewMessage
    run_key: int
    status: str


class Delivery:
    """What settling and the roles of the store do with messages."""

    def __init__(self, sql: MessageStatements, waking: Waking) -> None:
        self.sql = sql
        self._waking = waking

    def add(
        self,
        tx: StoreTransaction,
        changes: Changes,
        run_key: int,
        message: NewMessage,
        sender: str | None,
    ) -> None:
        """Store a message to a run that is locked and open, and wake the steps that wait for it."""
        row = (run_key, message.topic, message.payload, message.key, sender, tx.now)
        self.sql.add(tx, *row)
        self._tell(changes, run_key, message, sender)
        data = {"topic": message.topic}
        self._waking.by_name(changes, {wait_names.message_on(run_key, message.topic): data})

    def is_known(self, tx: StoreTransaction, run_key: int, key: str) -> bool:
        """Whether a message with this key was sent to the run before."""
        rows = self.sql.known_keys(tx, rows_json([(run_key, key)]))
        return rows.fetchone() is not None

    def named_runs(self, tx: StoreTransaction, names: set[str]) -> dict[str, tuple[int, str]]:
        """Key and status of those of these runs that exist."""
        rows = self.sql.runs_named(tx, rows_json(sorted(names))).fetchall()
        return {run_id: (key, status) for run_id, key, status in rows}

    def deliver(self, tx: StoreTransaction, changes: Changes, sending: Sequence[Sending]) -> None:
        """Store what steps sent in the transaction that commits them; the runs are locked."""
        named = self.named_runs(
            tx, {message.run_id for outcome in sending for message in outcome.messages}
        )
        sent = [
            _Sent(outcome.step, message, *named.get(message.run_id, _NO_RUN))
            for outcome in sending
            for message in outcome.messages
        ]
        # Known keys first: a repeated message counts as delivered, even if its run has ended since.
        fresh = self._to_open_runs(changes, self._without_known_keys(tx, sent))
        if not fresh:
            return
        rows = []
        names: dict[str, Mapping[str, Any]] = {}
        for item in fresh:
            message, sender = item.message, f"{item.step.run.id}/{item.step.id}"
            row = (item.run_key, message.topic, message.payload, message.key, sender, tx.now)
            rows.append(row)
            self._tell(changes, item.run_key, message, sender)
            names[wait_names.message_on(item.run_key, message.topic)] = {"topic": message.topic}
        self.sql.add.many(tx, rows)
        self._waking.by_name(changes, names)

    def _to_open_runs(self, changes: Changes, sent: Sequence[_Sent]) -> list[_Sent]:
        """Without messages to runs that do not exist or have ended; each of those gets an event."""
        open_ = []
        for item in sent:
            if item.run_key and item.status not in RUN_ENDED:
                open_.append(item)
                continue
            step, message = item.step, item.message
            data = {"run_id": message.run_id, "topic": message.topic, "reason": item.status}
            changes.event(step.run.key, EventType.MESSAGE_DROPPED, step.key, data=data)
        return open_

    def _without_known_keys(self, tx: StoreTransaction, sent: Sequence[_Sent]) -> list[_Sent]:
        """Without messages whose keys were used before, or earlier in this group."""
        keyed = [item for item in sent if item.run_key and item.message.key is not None]
        keys = [(item.run_key, item.message.key) for item in keyed]
        known: set[tuple[int, str | None]] = set()
        if keys:
            known = {(run_key, key) for run_key, key in self.sql.known_keys(tx, rows_json(keys))}
        fresh = []
        for item in sent:
            key = (item.run_key, item.message.key)
            if item.run_key and item.message.key is not None:
                if key in known:
                    continue
                known.add(key)
            fresh.append(item)
        return fresh

    def _tell(
        self, changes: Changes, run_key: int, message: NewMessage, sender: str | None
    ) -> None:
        data = {"topic": message.topic, "key": message.key, "sender": sender}
        changes.event(run_key, EventType.MESSAGE_SENT, data=data)

    def over(self, tx: StoreTransaction, suspended: Sequence[Suspended]) -> list[int]:
        """Keys of the suspended steps whose waits are over already; their runs are locked."""
        on_topic, of_value, on_run = [], [], []
        for outcome in suspended:
            step, wait = outcome.step, outcome.wait
            if wait.topic is not None:
                on_topic.append((step.key, step.run.key, wait.topic, wait.operation))
            if wait.value is not None:
                of_value.append((step.key, *wait.value))
            if wait.run_id is not None and wait.start is None:
                on_run.append((step.key, wait.run_id))
        over: list[int] = []
        if on_topic:
            over += [row[0] for row in self.sql.arrived(tx, rows_json(on_topic))]
        if of_value:
            over += [row[0] for row in self.sql.published(tx, rows_json(of_value))]
        if on_run:
            named = self.named_runs(tx, {run_id for _, run_id in on_run})
            open_runs = {run_id for run_id, (_, status) in named.items() if status not in RUN_ENDED}
            over += [key for key, run_id in on_run if run_id not in open_runs]
        return over
