"""Plans: how the statements of an exchange are sent.

`stepwise` does one thing after another, as the rules tell it; any database can follow it. `fused`
does the same in few long statements, where a database can change rows within WITH.
"""

from __future__ import annotations

from enum import StrEnum

from stepwell.stores.sql.connection.dialect import Dialect


class PlanName(StrEnum):
    """The plans there are."""

    STEPWISE = "stepwise"
    FUSED = "fused"


def fastest(dialect: Dialect) -> PlanName:
    """The plan with the fewest messages that this database can follow."""
    return PlanName.FUSED if dialect.changes_in_with else PlanName.STEPWISE
