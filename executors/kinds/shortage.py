"""Which errors of the system pass by themselves: what is short now may be there in a moment."""

from __future__ import annotations

import errno
import os

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


def shortage(error: BaseException | None) -> tuple[str, str] | None:
    """The name and the text of a shortage, also one that an error of ours was raised for."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _PASSING:
            return errno.errorcode[error.errno], os.strerror(error.errno)
        error = error.__cause__
    return None
