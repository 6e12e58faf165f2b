"""What is behind a runtime. No part of the public API: for the testing room, and for tests."""

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
    """What a runtime was composed of, what its executions share, and what makes its workers."""

    parts: RuntimeParts
    services: Services
    working: Working

    @property
    def store(self) -> RunStore:
        """The store behind it."""
        return self.parts.store


def services_of(parts: RuntimeParts, factory: RunFactory, kv: KeyValueStore) -> Services:
    """What the executions of a runtime of these parts share."""
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
