"""The faults of a world, their rates and their places: all drawn from its seed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from random import Random

# Rates at which something happens where it can, from never to often.
_RATES = (0.0, 0.0, 0.01, 0.04, 0.1)
_ERRORS = (
    (sqlite3.SQLITE_BUSY, "database is locked"),
    (sqlite3.SQLITE_IOERR, "disk I/O error"),
    (sqlite3.SQLITE_FULL, "database or disk is full"),
)


@dataclass(frozen=True, slots=True)
class Faults:
    """The rate of each fault at the places where it can happen, and how long faults go on.

    `crash`: a process dies. `error`: the store fails a transaction, as with a disk error. `lost`: a
    commit is done, but its acknowledgement is lost. `delay`: a thread is slow. `switch`: another
    thread runs first. `strike`: seconds between faults from outside (a kill, a frozen process,
    a change of the clock, a worker told to stop); None for none.
    """

    crash: float = 0.0
    error: float = 0.0
    lost: float = 0.0
    delay: float = 0.0
    switch: float = 0.3
    strike: float | None = None
    seconds: float = 60.0

    @classmethod
    def drawn(cls, chance: Random) -> Faults:
        """Some of the faults, each with its own rate; few seeds have all of them."""
        return cls(
            crash=chance.choice(_RATES),
            error=chance.choice(_RATES),
            lost=chance.choice(_RATES),
            delay=chance.choice(_RATES),
            switch=chance.choice((0.05, 0.2, 0.5)),
            strike=chance.choice((None, 1.0, 5.0, 20.0)),
            seconds=chance.choice((5.0, 15.0, 40.0)),
        )


def drawn_error(chance: Random) -> tuple[int, str]:
    """The code and text of an error of the disk."""
    return chance.choice(_ERRORS)


def drawn_delay(chance: Random, lease: float) -> float:
    """The length of a delay in seconds: often zero, sometimes several leases."""
    return chance.choice((0.001, 0.05, 0.5, lease / 3, lease, lease * 1.2, lease * 3.5))


def drawn_work(chance: Random, lease: float) -> float:
    """How long a body takes, in seconds."""
    return chance.choice((0.0, 0.0, 0.02, 0.5, lease / 2, lease))


# What an idle or starting process does all the time: faults there are frequent and teach little.
_DULL = ("a read", "claim", "define queues", "record worker", "forget silent workers", "worker")


def weight(what: str) -> float:
    """The factor of the rates for a transaction of this kind."""
    return 0.15 if what in _DULL else 1.0
