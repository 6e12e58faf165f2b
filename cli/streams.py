"""Keeps data apart from whatever the code of packages prints in this process."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def data_apart(*, descriptors: bool) -> TextIO:
    """A stream to the original stdout. Everything else that is written to stdout goes to stderr.

    With `descriptors`, which belong to the whole process, this includes the output of programs it
    starts and of code that kept the old stream; a fork cannot use the new stream.
    """
    data, talk = sys.stdout, sys.stderr
    data.flush()
    if not descriptors:
        sys.stdout = talk
        return data
    own = os.dup(data.fileno())
    for place in {1, data.fileno()}:
        os.dup2(talk.fileno(), place)
    os.register_at_fork(after_in_child=lambda: _lose(own))
    reconfigure = getattr(data, "reconfigure", None)
    if reconfigure is not None:  # line by line, in order with stderr
        reconfigure(line_buffering=True)
    return open(  # for as long as the process lives
        own,
        "w",
        buffering=1 if os.isatty(own) else -1,
        encoding=data.encoding,
        errors=data.errors,
    )


def _lose(descriptor: int) -> None:
    """Point a descriptor to nowhere, but keep its number occupied."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
