"""The inside of a runtime, for tests and the test kit. It is not part of the public API."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.ports import RunStore
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.run_factory import RunFactory
from stepwell.engine.runtime.working import Working
from stepwell.engine.services import DurableServices, Services


@dataclass(frozen=True, slots=True)
class Internals:
    """The parts of a runtime, what its executions share, and what makes its workers."""

    parts: RuntimeParts
    services: Services
    working: Working

    @property
    def store(self) -> RunStore:
        """The run store."""
        return self.parts.store


def services_of(parts: RuntimeParts, factory: RunFactory, kv: KeyValueStore) -> Services:
    """What the executions of a runtime share."""
    return Services(
        catalog=parts.catalog,
        reads=parts.store,
        artifacts=parts.artifacts,
        projections=parts.projections,
        settings=parts.settings,
        build_run=factory.build,
        app=parts.app,
        around=parts.around,
        durable=DurableServices(
            checkpointer=parts.checkpointer_of,
            messages=parts.store,
            values=parts.store,
            kv=kv,
            clock=parts.clock,
            now=parts.store.now,
        ),
    )
