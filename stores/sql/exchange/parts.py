"""What exchanges and acts are made of: one of each for a store, shared by all its transactions."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.exchange.cancels import Cancels
from stepwell.stores.sql.exchange.claim import Claiming
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.closing import Closing
from stepwell.stores.sql.exchange.graphs import Graphs
from stepwell.stores.sql.exchange.leases import Leases, LeaseStatements
from stepwell.stores.sql.exchange.messages import Delivery, MessageStatements
from stepwell.stores.sql.exchange.plan import Plan, PlanName
from stepwell.stores.sql.exchange.plans import plan_of
from stepwell.stores.sql.exchange.queue_limits import QueueLimits, QueueStatements
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements
from stepwell.stores.sql.exchange.time_limits import TimeLimits
from stepwell.stores.sql.exchange.waking import Waking


@dataclass(frozen=True)
class Parts:
    """Each works in a transaction given by its caller."""

    sql: SettleStatements
    plan: Plan
    graphs: Graphs
    messages: Delivery
    waking: Waking
    leases: Leases
    queues: QueueLimits
    claims: Claiming
    closing: Closing
    cancels: Cancels
    limits: TimeLimits


def parts_of(dialect: Dialect, plan_name: PlanName | None) -> Parts:
    """The parts for one database; see `plan_of` for the plan."""
    settle, graph = SettleStatements(dialect), GraphStatements(dialect)
    claim = ClaimStatements(dialect)
    plan = plan_of(plan_name, dialect, settle, graph, claim)
    waking, queues = Waking(dialect), QueueLimits(QueueStatements(dialect))
    graphs = Graphs(graph, settle, plan)
    cancels = Cancels(dialect, graphs)
    return Parts(
        sql=settle,
        plan=plan,
        graphs=graphs,
        messages=Delivery(MessageStatements(dialect), waking),
        waking=waking,
        leases=Leases(LeaseStatements(dialect), waking),
        queues=queues,
        claims=Claiming(claim, queues, plan),
        closing=Closing(dialect, plan, waking),
        cancels=cancels,
        limits=TimeLimits(dialect, graphs, cancels),
    )
