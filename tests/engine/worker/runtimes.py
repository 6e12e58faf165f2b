"""What tests of runtimes and their workers share: how one is opened, and waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stepwell.engine.runtime.runtime import Runtime

PATIENCE = 20.0
NEVER = 3_600.0

Open = Callable[..., Runtime]


class Signal(threading.Event):
    """An event that fails the test when it does not come."""

    def await_it(self) -> None:
        assert self.wait(PATIENCE)
