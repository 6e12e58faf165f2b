"""What must hold in every store at every moment, as queries that find violations.

Each query returns a row for each violation: run id, step id, and the values for its message. The
queries are plain SQL for both databases, over all rows at once; what databases write differently is
in braces and comes from `Dialect.functions`.
"""

from __future__ import annotations

from stepwell.stores.sql.checks import graphs, history, runs, settled, waits
from stepwell.stores.sql.checks.check import Check

ALL: tuple[Check, ...] = (
    *settled.CHECKS,
    *history.CHECKS,
    *graphs.CHECKS,
    *runs.CHECKS,
    *waits.CHECKS,
)
