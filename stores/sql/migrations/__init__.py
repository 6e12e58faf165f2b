"""Ordered, numbered migrations; each is applied in one transaction and never changed again."""

from __future__ import annotations

from stepwell.stores.sql.migrations import m0001_heart, m0002_waiting

MIGRATIONS: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (1, "the heart", m0001_heart.STATEMENTS),
    (2, "waiting", m0002_waiting.STATEMENTS),
)
LATEST = MIGRATIONS[-1][0]
