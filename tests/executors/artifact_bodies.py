"""Steps that read artifacts in every pool; at the top level of a module, for child processes."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel

from stepwell import ArtifactRef, Package, RunBuilder, StepContext

reading = Package("reading")
SMALL, LARGE = b"small", b"0123456789abcdef" * 500_000
POOLS = ("inline", "thread", "asyncio", "process")


class Made(BaseModel):
    small: ArtifactRef
    large: ArtifactRef


class Wanted(BaseModel):
    pool: str
    ids: list[str] = []


@reading.executor("reading.make", pool="thread")
def make(step: StepContext) -> Made:
    return Made(
        small=step.artifact("small", SMALL, content_type="text/plain"),
        large=step.store_artifact("large", LARGE),
    )


def digests(step: StepContext, wanted: Wanted) -> list[str]:
    """The digests of what the step that it depends on made, or of the ids it was given."""
    if wanted.ids:
        return [hashlib.sha256(step.artifact_bytes(each)).hexdigest() for each in wanted.ids]
    made = step.dependency("make", Made)
    found = []
    for ref in (made.small, made.large):
        with step.open_artifact(ref) as stream:
            found.append(hashlib.sha256(stream.read()).hexdigest())
    return found


for pool in POOLS[:2]:
    reading.executor(f"reading.{pool}", pool=pool)(digests)


@reading.executor("reading.process", pool="process")
def in_a_process(step: StepContext, wanted: Wanted) -> list[str]:
    return digests(step, wanted)


@reading.executor("reading.asyncio", pool="asyncio")
async def on_the_loop(step: StepContext, wanted: Wanted) -> list[str]:
    return digests(step, wanted)


@reading.entrypoint
def start(run: RunBuilder, wanted: Wanted) -> None:
    after = [] if wanted.ids else [run.step(make, id="make")]
    run.step(f"reading.{wanted.pool}", wanted, id="read", after=after)
