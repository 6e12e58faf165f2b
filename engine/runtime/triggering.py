"""Starts by name and JSON, on behalf of those outside of the author's code."""

from __future__ import annotations

from typing import Any

from stepwell.engine.errors import InvalidInput, InvalidPayload, NotTriggerable, shown
from stepwell.engine.payloads.payload import parse
from stepwell.engine.run_options import StartOptions
from stepwell.engine.runtime.run_factory import RunFactory


def triggered(
    factory: RunFactory, target: str, input: Any, options: StartOptions
) -> tuple[str, Any, StartOptions]:
    """What to start: a package, its input and the options.

    Raises NotTriggerable if the author does not let it be started from outside, NotFound with the
    nearest name, InvalidInput.
    """
    if not isinstance(target, str):
        raise InvalidInput(f"trigger: must be a package or package:entrypoint, got {shown(target)}")
    package, _, named = target.partition(":")
    entrypoint = options.get("entrypoint")
    if named and entrypoint not in (None, named):
        raise InvalidInput(f"entrypoint: {target!r} names one itself, got {shown(entrypoint)}")
    found = factory.find(package, named or entrypoint)
    if not found.trigger:
        raise NotTriggerable(
            f"{found.target!r} cannot be started from outside: it is declared with trigger=False"
        )
    chosen: StartOptions = {**options, "entrypoint": found.name}
    return package, _value(input), chosen


def _value(input: Any) -> Any:
    if not isinstance(input, (str, bytes)):
        return input
    try:
        return parse(input, "input")
    except InvalidPayload as error:
        raise InvalidPayload(
            f"{error}; a str is taken as JSON, where a text has quotes: json.dumps(text)"
        ) from None
