"""When each duty of a worker is due, and what happens when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from stepwell.engine.errors import RuntimeClosed, StoreError
from stepwell.engine.worker.duty import Duty
from stepwell.engine.worker.pacing import Pacing
from stepwell.engine.worker.store_link import StoreLink

_log = logging.getLogger("stepwell.worker")

# A duty that failed is done again after so many seconds, or after this part of its interval if that
# is less.
RETRY: Final = 5.0
RETRY_PART: Final = 1 / 10


class Duties:
    """The duties of one worker. Used by the thread that has the turn."""

    def __init__(
        self,
        duties: Sequence[Duty],
        link: StoreLink,
        pacing: Pacing,
        monotonic: Callable[[], float],
    ) -> None:
        self._link = link
        self._pacing = pacing
        self._monotonic = monotonic
        self._at_each_look = tuple(duty for duty in duties if duty.every == 0)
        self._timed = {duty.name: duty for duty in duties if duty.every > 0}
        # When the next of them is due.
        self.next = now = monotonic()
        self._due = dict.fromkeys(self._timed, now)

    def tend(self, now: float) -> None:
        """Do the duties that are due."""
        if now >= self.next:
            for name, due in tuple(self._due.items()):
                if now >= due:
                    self.do(name)
        self.look()

    def look(self) -> bool:
        """Do the duties of each look; returns whether one of them found something to do."""
        found = False
        for duty in self._at_each_look:
            found = self._run(duty) or found
        return found

    def do(self, name: str) -> None:
        """Do a duty now, whenever it is due; its interval begins anew."""
        duty = self._timed[name]
        self._due[name] = self._monotonic() + duty.every
        if self._run(duty):
            self._pacing.wants_claim = True
        self.next = min(self._due.values())

    def hasten(self, name: str, at: float) -> None:
        """Do a duty no later than `at`."""
        if at < self._due[name]:
            self._due[name] = at
            self.next = min(self.next, at)

    def _run(self, duty: Duty) -> bool:
        try:
            return bool(duty.run())
        except StoreError as error:
            self._link.trouble(error)
            pause = self._link.pause  # soon again, as leases may lapse
        except RuntimeClosed:
            raise
        except Exception as error:
            pause = min(RETRY, duty.every * RETRY_PART)
            _log.exception(
                "duty %r failed: %s; it is tried again",
                *(duty.name, error),
                extra={"action": "duty_failed"},
            )
            self._link.drop_unheld()  # the renewal of leases may be what keeps failing
        if duty.every:
            again = self._monotonic() + pause
            self._due[duty.name] = min(self._due[duty.name], again)
        return False
