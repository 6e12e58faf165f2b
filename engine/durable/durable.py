"""The durable operations of one execution, put together."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.engine.durable.body import Body
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operations import Operations
from stepwell.engine.durable.requests import Requests
from stepwell.engine.durable.several import CombinedWaits
from stepwell.engine.durable.waits import Waits
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.services import DurableServices
from stepwell.engine.settings import Settings

# Waits in the caller's thread until the time (seconds) is over or the step is canceled, and
# returns whether it is.
Rest = Callable[[float], bool]
# What makes a journal, as the class does: step, execution id, services, settings, how to rest.
JournalFactory = Callable[[ClaimedStep, str, DurableServices, Settings, Rest], Journal]


class Durable:
    """Made when a body calls its first durable operation.

    `operations` are recorded functions, `waits` are single waits and values of runs. All of them
    record in one `journal`, under names that are unique in the execution.
    """

    def __init__(self, body: Body, journal: Journal) -> None:
        requests = Requests(body.check_open)
        self.journal = journal
        self.operations = Operations(body, journal, requests)
        self.waits = Waits(body, journal, requests)

    @property
    def combined(self) -> CombinedWaits:
        """Waits for any or all of several things."""
        return CombinedWaits(self.waits)
