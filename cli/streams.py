"""Data and talk apart, once code of others runs in this process."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def data_apart(*, descriptors: bool) -> TextIO:
    """A stream to where stdout led until now. All else that is written there goes to stderr.

    With `descriptors`, which are the whole process's, that holds for the programs it starts, too,
    and for whoever kept the old stream; a fork has no way to the new one.
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
    if reconfigure is not None:  # in the order in which it is written, as stderr is
        reconfigure(line_buffering=True)
    return open(  # for as long as the process lives
        own,
        "w",
        buffering=1 if os.isatty(own) else -1,
        encoding=data.encoding,
        errors=data.errors,
    )


def _lose(descriptor: int) -> None:
    """Keep a descriptor's number, and let it lead nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
