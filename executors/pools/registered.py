"""The pools that executors may name: built in, given to `connect()`, or installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import stepwell.executors as executors
from stepwell.engine.errors import InvalidInput, NotFound, nearest, shown
from stepwell.engine.worker.pool_spec import PoolSpec
from stepwell.executors.pools import BUILT_IN


class RegisteredPools:
    """Pools by name; an installed one is loaded on first use.

    Raises InvalidInput for an object that is not a pool, or a name that is taken.
    """

    def __init__(self, given: Sequence[PoolSpec] = ()) -> None:
        self._specs = {spec.name: spec for spec in BUILT_IN}
        for spec in given:
            if not isinstance(spec, PoolSpec):
                raise InvalidInput(f"pools: must hold PoolSpec(...), got {shown(spec)}")
            if spec.name in self._specs:
                raise InvalidInput(f"pools: there is a pool {spec.name!r} already")
            self._specs[spec.name] = self._made(spec)

    def find(self, name: str) -> PoolSpec:
        """The pool. Raises NotFound with the nearest name; InvalidInput for a broken one."""
        spec = self._specs.get(name) if isinstance(name, str) else None
        if spec is not None:
            return spec
        installed = executors.installed_pools.names()
        if name not in installed:
            known = {*self._specs, *installed}
            raise NotFound(f"unknown pool {shown(name)}{nearest(name, known)}")
        spec = self._specs[name] = self._made(executors.installed_pools.load(name))
        return spec

    def _made(self, spec: PoolSpec) -> PoolSpec:
        """The pool itself; a spec may name a built-in pool of which to make another one."""
        if callable(spec.make):
            return spec
        built_in = {each.name: each for each in BUILT_IN}
        if spec.make not in built_in:
            raise InvalidInput(
                f"pool {spec.name!r}.make: there is no built-in pool {spec.make!r}"
                f"{nearest(spec.make, built_in)}"
            )
        return replace(built_in[spec.make], name=spec.name, size=spec.size)
