"""What a fork does with its parent's connections to PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

# Connections that a thread of the parent was using; nothing can be done with them.
_left: list[psycopg.Connection[Any]] = []


def disown(connections: Sequence[psycopg.Connection[Any]], in_use: bool) -> None:
    """Let go of connections that the parent goes on with, without a word to the server.

    Their sockets are closed here, so that the server notices when the parent dies.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for connection in connections:
            # Not closed by its number, which the driver would go on with.
            with suppress(psycopg.Error):
                os.dup2(nothing, connection.fileno(), inheritable=False)
            if in_use:
                _left.append(connection)
            else:
                connection.close()
    finally:
        os.close(nothing)
