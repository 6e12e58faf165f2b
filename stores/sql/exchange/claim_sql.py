"""Statements that find ready steps and take them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Act
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    becomes,
    bind,
    may,
    still_may,
)
from stepwell.stores.sql.exchange.claim_rules import OF_RUN, finding, starting, taking
from stepwell.stores.sql.schema import tables


class ClaimStatements(Statements):
    """Finding ready steps and taking them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        steps = tables.steps
        ready = may(Act.CLAIM, steps.c.status)
        self.find_ready = Statement(
            sa.select(*finding())
            .where(
                ready,
                steps.c.queue == bind("queue"),
                steps.c.kind == bind("kind"),
                steps.c.ready_at <= bind("now"),
                steps.c.lost_leases < bind("suspect_from"),
            )
            .order_by(steps.c.priority, steps.c.ready_at, steps.c.id)
            .limit(bind("limit"))
            .with_for_update(skip_locked=True),
            *("queue", "kind", "now", "suspect_from", "limit"),
        )
        self.find_suspect = Statement(
            sa.select(*finding())
            .where(
                ready,
                # Implied by the next condition, but needed for the partial index of suspects.
                steps.c.lost_leases > sa.literal_column("0"),
                steps.c.lost_leases >= bind("suspect_from"),
                steps.c.queue.in_(dialect.texts("queues")),
                steps.c.kind.in_(dialect.texts("kinds")),
                steps.c.ready_at <= bind("now"),
            )
            .order_by(steps.c.priority, steps.c.ready_at, steps.c.id)
            .limit(1)
            .with_for_update(skip_locked=True),
            *("suspect_from", "queues", "kinds", "now"),
        )
        self.ready_kinds = Statement(_ready_kinds(steps), "queue")
        self._taking(dialect)

    def _taking(self, dialect: Any) -> None:
        steps, runs = tables.steps, tables.runs
        self.take = Statement(
            sa.update(steps)
            .values(taking())
            .where(steps.c.id.in_(dialect.scalars("keys")), still_may(Act.CLAIM, steps.c.status)),
            *("worker", "now", "expires", "keys"),
        )
        self.load_runs = Statement(
            sa.select(runs.c.status, *OF_RUN).where(runs.c.id.in_(dialect.scalars("keys"))), "keys"
        )
        # As if they had never been claimed: no worker has seen these tokens.
        self.give_back = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.RELEASE),
                expires_at=None,
                worker=None,
                token=steps.c.token - 1,
                attempt=steps.c.attempt - 1,
                started_at=sa.case((steps.c.token > 1, steps.c.started_at), else_=sa.null()),
            )
            .where(steps.c.id.in_(dialect.scalars("keys")), still_may(Act.RELEASE, steps.c.status)),
            "keys",
        )
        self.start_runs = Statement(starting(dialect).returning(*OF_RUN), *("now", "keys"))
        self.step_names = Statement(
            sa.select(steps.c.id, steps.c.step_id).where(steps.c.id.in_(dialect.scalars("keys"))),
            "keys",
        )


def _ready_kinds(steps: sa.Table) -> Any:
    """The kinds with ready steps in a queue, read by jumping through the index from kind to kind.

    Each row also says whether the queue has suspects of any kind.
    """

    def first(*after: Any) -> Any:
        return sa.select(sa.func.min(steps.c.kind).label("kind")).where(
            may(Act.CLAIM, steps.c.status), steps.c.queue == bind("queue"), *after
        )

    kinds = first().cte("kinds", recursive=True)
    following = first(steps.c.kind > kinds.c.kind).correlate(kinds).scalar_subquery()
    kinds = kinds.union_all(sa.select(following).where(kinds.c.kind.is_not(None)))
    suspects = sa.exists().where(
        may(Act.CLAIM, steps.c.status),
        steps.c.lost_leases > sa.literal_column("0"),
        steps.c.queue == bind("queue"),
    )
    return sa.select(kinds.c.kind, suspects).where(kinds.c.kind.is_not(None))
