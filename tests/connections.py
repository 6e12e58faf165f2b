"""SQLite connections that nobody closes: a warning tells of each, as Python 3.13 does by itself.

Warnings are errors here, and this one names the test that opened the connection; the garbage
collector may find it during another one.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from typing import Any

_connect: Any = sqlite3.connect


class WatchedConnection(sqlite3.Connection):
    """Warns when it is collected and was not closed."""

    _opened_by: str | None = None
    _process = 0

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._opened_by = os.environ.get("PYTEST_CURRENT_TEST", "no test")
        self._process = os.getpid()

    def close(self) -> None:
        self._opened_by = None
        super().close()

    def __del__(self) -> None:
        if self._opened_by is not None and self._process == os.getpid():
            opened_by = self._opened_by
            self.close()
            warnings.warn(
                f"a SQLite connection was not closed; it was opened in {opened_by}",
                ResourceWarning,
                stacklevel=1,
            )


def watch_connections() -> None:
    """Let every connection of this process that is opened from now on be watched."""

    def connect(*given: Any, **options: Any) -> Any:
        options.setdefault("factory", WatchedConnection)
        return _connect(*given, **options)

    module: Any = sqlite3
    module.connect = connect
