"""Recognizes system errors that are temporary, such as a shortage of resources."""

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
        errno.ETXTBSY,  # the file of the program is being written
        errno.EBUSY,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ESTALE,  # a network file system
        errno.ETIMEDOUT,
    }
)


def is_passing(error: OSError) -> bool:
    """Whether a system error may be gone on the next try."""
    return error.errno in _PASSING


def passing(error: Exception, what: str) -> Retryable | None:
    """A Retryable if the error or its cause is temporary, else None."""
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
