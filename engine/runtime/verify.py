"""Verifies a store together with the bytes that it keeps elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stepwell.engine.errors import NotFound, StepwellError
from stepwell.engine.model import ArtifactRef
from stepwell.engine.ports import ArtifactStore, Verifying
from stepwell.engine.verification import Verification, Violation

_CHECK = "artifacts"
_PAGE = 1_000


def verify(store: Verifying, artifacts: ArtifactStore, most: int) -> Verification:
    """The violations in the store, and the artifacts whose bytes are missing or damaged."""
    found = store.verify(most)
    counts = dict(found.counts)
    violations = list(found.violations)
    for violation in _damaged(store, artifacts):
        counts[_CHECK] = counts.get(_CHECK, 0) + 1
        if counts[_CHECK] <= most:
            violations.append(violation)
    ordered = {name: counts[name] for name in found.checked if name in counts}
    return replace(found, violations=tuple(violations), counts=ordered)


def _damaged(store: Verifying, artifacts: ArtifactStore) -> Iterator[Violation]:
    """Violations by artifacts that are not inline; the same bytes are read only once."""
    known: dict[tuple[str, int], str | None] = {}
    after = ""
    while True:
        try:
            page = store.stored_artifacts(after, _PAGE)
        except StepwellError as error:
            yield Violation(_CHECK, f"cannot be checked: {error}")
            return
        for ref in page:
            content = (ref.sha256, ref.size)
            if content not in known:
                known[content] = _problem(artifacts, ref)
            problem = known[content]
            if problem is not None:
                message = f"artifact {ref.name!r} ({ref.id}): {problem}"
                yield Violation(_CHECK, message, ref.run_id, ref.step_id)
        if len(page) < _PAGE:
            return
        after = page[-1].id


def _problem(artifacts: ArtifactStore, ref: ArtifactRef) -> str | None:
    """What is wrong with the bytes of an artifact."""
    try:
        size = artifacts.stat(ref.sha256).size
        # Reads all bytes, and compares them with the digest.
        artifacts.open(ref.sha256).close()
    except NotFound:
        return f"its {ref.size:,} bytes are missing (sha256 {ref.sha256})"
    except StepwellError as error:
        return str(error)
    if size != ref.size:
        return f"has {size:,} bytes, but {ref.size:,} were stored"
    return None
