"""A module that sets its precision when imported, as calculating ones do; in children only."""

from __future__ import annotations

import decimal
import multiprocessing

PRECISION = 12

if multiprocessing.parent_process() is not None:
    decimal.getcontext().prec = PRECISION


def digits() -> int:
    """The precision that is in force."""
    return decimal.getcontext().prec
