"""What an entrypoint builds a run with."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol, TypeVar, Unpack, overload

from stepwell.engine.errors import InvalidGraph, InvalidInput, shown
from stepwell.engine.exchange import NewRun
from stepwell.engine.graph.graph import Graph, StepOptions
from stepwell.engine.ids import check_id
from stepwell.engine.model import StepHandle
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.ports import Catalog, Executor
from stepwell.engine.run_options import RunOptions

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Typed(Protocol[R_co]):
    """An executor whose result type is known from its function."""

    @property
    def kind(self) -> str: ...
    def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...


class RunBuilder:
    """A run under construction: set its name, metadata and tags, and add its steps."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        run_id: str,
        package: str,
        raw_input: str,
        limit: int,
        options: RunOptions | None = None,
    ) -> None:
        self.id = run_id
        self.package = package
        self.name = package
        self.metadata: dict[str, Any] = {}
        self.tags: list[str] = []
        self.raw_input = raw_input
        self._limit = limit
        self._options = options
        defaults = (options.queue, options.priority) if options else (None, None)
        self._graph = Graph(catalog, "run", limit=limit, package=package, defaults=defaults)

    @property
    def input(self) -> Any:
        """The run's input as plain JSON values."""
        return decode(self.raw_input)

    @overload
    def step(
        self,
        executor: Typed[Coroutine[Any, Any, R]],
        input: Any = None,
        **options: Unpack[StepOptions],
    ) -> StepHandle[R]: ...
    @overload
    def step(
        self, executor: Typed[R], input: Any = None, **options: Unpack[StepOptions]
    ) -> StepHandle[R]: ...
    @overload
    def step(
        self, executor: Executor | str, input: Any = None, **options: Unpack[StepOptions]
    ) -> StepHandle[Any]: ...
    def step(
        self, executor: Any, input: Any = None, **options: Unpack[StepOptions]
    ) -> StepHandle[Any]:
        """Add a step: an executor (or the name of its kind), its input, and `StepOptions`.

        Raises InvalidInput naming the step, the field, the value and what would be right.
        """
        return self._graph.add(executor, input, options)

    def limit_recoveries(self, step_id: str, most: int) -> None:
        """Let a step run again at most `most` times after its worker died."""
        steps = self._graph.steps
        for place, step in enumerate(steps):
            if step.id == step_id:
                steps[place] = replace(step, max_recoveries=most)

    def finish(self, entrypoint: str, summary: str | None = None) -> NewRun:
        """The run to be stored. Raises InvalidGraph for an invalid graph."""
        steps = self._graph.finish()
        if not steps:
            raise InvalidGraph(
                f"entrypoint {entrypoint!r} of package {self.package!r} made no step; "
                "call run.step(...) at least once"
            )
        check_id(self.name, "run.name")
        if not isinstance(self.metadata, dict):
            raise InvalidInput(f"run.metadata: must be a dict, got {shown(self.metadata)}")
        if not isinstance(self.tags, list):
            raise InvalidInput(f"run.tags: must be a list of strings, got {shown(self.tags)}")
        tags = [check_id(tag, "run.tags") for tag in self.tags]
        return NewRun(
            id=self.id,
            package=self.package,
            entrypoint=entrypoint,
            name=self.name,
            input=self.raw_input,
            metadata=encode(self.metadata, "run.metadata", self._limit),
            tags=encode(tags, "run.tags", self._limit),
            steps=steps,
            summary=summary,
            options=self._options,
        )
