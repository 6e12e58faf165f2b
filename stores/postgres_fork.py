"""How a forked child treats its parent's connections to PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

# Connections that a thread of the parent was using; they are kept and never touched.
_left: list[psycopg.Connection[Any]] = []


def disown(connections: Sequence[psycopg.Connection[Any]], in_use: bool) -> None:
    """Drop connections that the parent goes on using, without sending anything to the server.

    Closes their sockets in this process, so that the server notices when the parent dies.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for connection in connections:
            # Not closed by its number, which the driver would go on using.
            with suppress(psycopg.Error):
                os.dup2(nothing, connection.fileno(), inheritable=False)
            if in_use:
                _left.append(connection)
            else:
                connection.close()
    finally:
        os.close(nothing)
