"""Finds the run that a person means: by its id, a unique beginning of it, or `last`."""

from __future__ import annotations

from stepwell.engine.errors import InvalidInput, NotFound
from stepwell.engine.model import Run
from stepwell.engine.runtime.runtime import Runtime

LAST = "last"
SHORTEST = 4
SHOWN = 3


def find_run(runtime: Runtime, text: str) -> Run:
    """The run with exactly this id, or else the one with this beginning, or the last one.

    Raises NotFound if there is none, InvalidInput if several runs share the beginning.
    """
    try:
        return runtime.run(text)
    except NotFound:
        if text == LAST:
            newest = runtime.runs(limit=1)
            if not newest:
                raise NotFound("there is no run yet; start one: stepwell run PACKAGE") from None
            return newest[0]
        found = runtime.runs(prefix=text, limit=SHOWN + 1) if len(text) >= SHORTEST else []
        if not found:
            raise
    if len(found) > 1:
        names = ", ".join(repr(run.id) for run in found[:SHOWN])
        more = ", …" if len(found) > SHOWN else ""
        raise InvalidInput(f"run {text!r} is how several begin ({names}{more}); give more of it")
    return found[0]
