"""Duties: what a worker does from time to time besides steps.

A duty is small, and safe on many workers at once: if only one of them may do something, a
compare-and-set in the store decides which one, and no leader is elected. Duties are done between
exchanges, by the thread that has the turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Duty:
    """`run` is called first when the worker begins, then every `every` seconds (0: at each look).

    It returns whether there may be something to claim now. An error is logged, and the duty is
    tried again; the worker goes on.
    """

    name: str
    every: float
    run: Callable[[], bool | None]
