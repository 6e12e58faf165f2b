"""Builds the graph of a run, as it is stored, from the name of a package and an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell.engine.entrypoints import Entrypoint
from stepwell.engine.errors import InvalidInput, NotFound, nearest, shown
from stepwell.engine.exchange import NewRun
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.ids import check_id
from stepwell.engine.model import Run
from stepwell.engine.package import Package, Workflow, WorkflowEntrypoint
from stepwell.engine.ports import Catalog
from stepwell.engine.run_options import RunOptions, StartOptions
from stepwell.engine.settings import Settings


@dataclass(frozen=True, slots=True)
class RunLabels:
    """What the caller adds to what the entrypoint sets; `name` replaces the entrypoint's."""

    name: str | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] = ()


_NO_LABELS = RunLabels()


def labels_of(options: StartOptions) -> RunLabels:
    """The labels among the options."""
    tags = options.get("tags")
    return RunLabels(options.get("name"), options.get("metadata"), () if tags is None else tags)


def target_of(package: Any, entrypoint: str | None) -> tuple[Any, str | None]:
    """The names of the package and the entrypoint that a caller wants to start."""
    if isinstance(package, Workflow):
        if entrypoint not in (None, package.name):
            raise InvalidInput(
                f"entrypoint: workflow {package.kind!r} is one itself, got {shown(entrypoint)}"
            )
        return package.package, package.name
    return (package.name if isinstance(package, Package) else package), entrypoint


class RunFactory:
    """Builds runs by calling entrypoints. `packages` may grow meanwhile."""

    def __init__(
        self, catalog: Catalog, packages: Mapping[str, Package], settings: Settings
    ) -> None:
        self._catalog = catalog
        self._packages = packages
        self._limit = settings.payload_limit

    def build(
        self,
        package: str,
        input: Any,
        entrypoint: str | None,
        run_id: str,
        labels: RunLabels = _NO_LABELS,
        options: RunOptions | None = None,
    ) -> NewRun:
        """The run to be stored. Raises InvalidInput or NotFound; nothing is stored here."""
        found = self.package(package).find_entrypoint(entrypoint)
        builder = RunBuilder(
            self._catalog,
            run_id=run_id,
            package=package,
            raw_input=found.signature.encode_input(input, "input", self._limit),
            limit=self._limit,
            options=options,
        )
        if labels.metadata is not None:
            if not isinstance(labels.metadata, Mapping):
                raise InvalidInput(f"metadata: must be a mapping, got {shown(labels.metadata)}")
            builder.metadata.update(labels.metadata)
        if isinstance(labels.tags, str) or not isinstance(labels.tags, Sequence):
            raise InvalidInput(f"tags: must be a list of strings, got {shown(labels.tags)}")
        if found.tags:
            builder.tags.extend(tag for tag in found.tags if tag not in labels.tags)
        builder.tags.extend(labels.tags)
        found.build(builder)
        if labels.name is not None:
            builder.name = check_id(labels.name, "name")
        return builder.finish(found.name, found.summarize(builder.raw_input))

    def find(self, package: str, entrypoint: str | None) -> Entrypoint:
        """The entrypoint of these names. Raises NotFound with the nearest name, or InvalidInput."""
        return self.package(package).find_entrypoint(entrypoint)

    def workflow(self, run: Run) -> Workflow[Any, Any] | None:
        """The workflow of a run; None if it has none, or its package is not registered here."""
        package = self._packages.get(run.package)
        entrypoint = package.entrypoints.get(run.entrypoint) if package else None
        return entrypoint.workflow if isinstance(entrypoint, WorkflowEntrypoint) else None

    def package(self, name: Any) -> Package:
        """The package of this name. Raises NotFound with the nearest one."""
        package = self._packages.get(name) if isinstance(name, str) else None
        if package is None:
            raise NotFound(
                f"there is no package {shown(name)}{nearest(name, self._packages)}"
                + ("" if self._packages else "; none is registered: use --app or packages=[…]")
            )
        return package
