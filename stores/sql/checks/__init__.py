"""What must hold in every store at every moment, as queries that find what breaks it.

Each query gives a row for each violation: run id, step id, and the values that its message names.
They are plain SQL that both databases read, over all rows at once; what is spelled differently
stands in braces and comes from `Dialect.functions`.
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
