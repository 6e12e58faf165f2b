"""Duties: what a worker does from time to time besides steps.

A duty is small, and safe on many workers at once: what several of them may do is decided by
compare-and-set in the store, never by electing one. It is done between exchanges, by the thread
that has the turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Duty:
    """`run` is called first when the worker begins, then every `every` seconds (0: at each look).

    It returns whether there may be something to claim now. When it raises, that is logged and it is
    tried again; the worker goes on.
    """

    name: str
    every: float
    run: Callable[[], bool | None]
