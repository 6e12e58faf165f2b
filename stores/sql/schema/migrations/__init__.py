"""Ordered, numbered migrations; each is applied in one transaction and never changed again."""

from __future__ import annotations

from stepwell.stores.sql.schema.migrations import (
    m0001_heart,
    m0002_waiting,
    m0003_waits,
    m0004_run_options,
)

MIGRATIONS: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (1, "the heart", m0001_heart.STATEMENTS),
    (2, "waiting", m0002_waiting.STATEMENTS),
    (3, "several waits of one step, repeats", m0003_waits.STATEMENTS),
    (4, "run options", m0004_run_options.STATEMENTS),
)
LATEST = MIGRATIONS[-1][0]
