"""Which plan a store follows."""

from __future__ import annotations

from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.fused import Fused
from stepwell.stores.sql.exchange.plan import Plan, PlanName
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements
from stepwell.stores.sql.exchange.stepwise import Stepwise


def plan_of(
    name: PlanName | None,
    dialect: Dialect,
    settle: SettleStatements,
    graph: GraphStatements,
    claim: ClaimStatements,
) -> Plan:
    """The plan with this name; by default the one with the fewest messages on this database."""
    if name is None:
        name = PlanName.FUSED if dialect.changes_in_with else PlanName.STEPWISE
    kind = Fused if name is PlanName.FUSED else Stepwise
    return kind(dialect, settle, graph, claim)
