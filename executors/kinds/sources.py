"""Inputs of built-in kinds: the artifact of an earlier step, or any artifact by id."""

from __future__ import annotations

from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from stepwell.engine.errors import NotFound, nearest
from stepwell.engine.step.context import StepContext


class ArtifactOf(BaseModel):
    """The artifact `name` of an ended step of the same run."""

    model_config = ConfigDict(extra="forbid")

    step: str = Field(min_length=1)
    name: str = Field(min_length=1)


Source = str | ArtifactOf


def open_source(step: StepContext, source: Source) -> BinaryIO:
    """The bytes of an artifact, by its id or by the step that made it. Raises NotFound."""
    if isinstance(source, str):
        return step.open_artifact(source)
    refs = {ref.name: ref for ref in step.dependency_result(source.step).artifacts}
    if source.name not in refs:
        raise NotFound(
            f"step {source.step!r} has no artifact {source.name!r}{nearest(source.name, refs)}"
        )
    return step.open_artifact(refs[source.name])
