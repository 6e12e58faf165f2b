"""Which errors of the system pass by themselves: what is short now may be there in a moment."""

from __future__ import annotations

import errno
import os

from stepwell.engine.errors import Retryable

_PASSING = frozenset(
    {
        errno.EAGAIN,  # processes, threads
        errno.ENOMEM,
        errno.EMFILE,  # descriptors of this process
        errno.ENFILE,  # and of the system
        errno.ETOOMANYREFS,  # descriptors on their way to another process
        errno.ENOBUFS,
        errno.ETXTBSY,  # somebody is writing the program
        errno.EBUSY,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ESTALE,  # a network file system
        errno.ETIMEDOUT,
    }
)


def is_passing(error: OSError) -> bool:
    """Whether an error of the system may be gone when it is tried again."""
    return error.errno in _PASSING


def passing(error: Exception, what: str) -> Retryable | None:
    """What to raise for an error that passes, or was raised for one that does; else None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and is_passing(cause):
            number = cause.errno or 0
            return Retryable(
                "shortage",
                f"{what} cannot run now: {os.strerror(number)}; it is tried again",
                details={"errno": errno.errorcode[number]},
            )
        cause = cause.__cause__
    return None
