"""What `run` and `start` share: the options that say what to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from stepwell.cli.inputs import RunInput, pairs
from stepwell.cli.lookup import LAST
from stepwell.cli.run_options import options_of, run_options
from stepwell.cli.session import Session
from stepwell.engine.entrypoints import Entrypoint
from stepwell.engine.errors import InvalidInput, InvalidPackage
from stepwell.engine.package import Package
from stepwell.engine.runtime.run_handle import RunHandle
from stepwell.engine.runtime.runtime import Runtime

# The limit of payloads is checked where the run is made.
_UNLIMITED = 1 << 62

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--input",
        metavar="JSON|@FILE|-",
        help="The run's input: JSON, a file with it, or - for stdin.",
    ),
    click.option(
        "--set",
        "assignments",
        metavar="K=V",
        multiple=True,
        help="Set one field of the input; K may be a path such as a.b, V is JSON if it parses "
        "and fits the field, and else text. Repeat it for a list. Behind PACKAGE, --help lists "
        "the fields.",
    ),
    click.option("--name", help="The run's name."),
    click.option("--run-id", metavar="ID", help="The run's id.  [default: a new one]"),
    click.option(
        "--metadata", metavar="K=V", multiple=True, help="Metadata of the run. Repeatable."
    ),
    click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag the run. Repeatable."),
)


def start_options(function: F) -> F:
    """Give a command the options that say what to start."""
    function = run_options(function)
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be started, checked as far as possible without a store."""

    package: str
    entrypoint: str | None
    input: Any
    name: str | None
    run_id: str | None
    metadata: dict[str, Any] | None
    tags: Sequence[str]
    options: Mapping[str, Any]

    @classmethod
    def of(cls, session: Session, target: str, given: dict[str, Any]) -> Start:
        """From the given options. Raises before any store is opened or created."""
        package, _, entrypoint = target.partition(":")
        if given["run_id"] == LAST:
            raise InvalidInput(
                f"--run-id: {LAST!r} names the newest run in all commands; choose another id"
            )
        value = RunInput(given["input"], given["assignments"])
        metadata = pairs(given["metadata"], "--metadata")
        session.check_package(package)
        found = _entrypoint(session.apps.package(package), entrypoint or None)
        return cls(
            package=package,
            entrypoint=entrypoint or None,
            input=value.given if found is None else _checked(session, value, found, target),
            name=given["name"],
            run_id=given["run_id"],
            metadata=metadata,
            tags=given["tags"],
            options=options_of(given),
        )

    def on(self, runtime: Runtime) -> RunHandle[Any]:
        """Start it; on return it is durable."""
        return runtime.start_run(
            self.package,
            self.input,
            entrypoint=self.entrypoint,
            run_id=self.run_id,
            name=self.name,
            metadata=self.metadata,
            tags=self.tags,
            **self.options,
        )


def said_of(handle: RunHandle[Any]) -> str:
    """What came of starting a run, for people."""
    if handle.started:
        return f"run {handle.id} is started"
    if handle.replaced:
        return f"run {handle.id}, which has not begun, has the new input"
    return f"run {handle.id} was there already; nothing was started"


def _entrypoint(package: Package, name: str | None) -> Entrypoint | None:
    """The entrypoint; None if the package is declared wrongly, which opening it will report.

    Raises NotFound or InvalidInput.
    """
    try:
        package.prepare()
    except InvalidPackage:
        return None
    return package.find_entrypoint(name)


def _checked(session: Session, value: RunInput, entrypoint: Entrypoint, target: str) -> Any:
    """The input as the entrypoint takes it. Raises InvalidInput naming the field."""
    try:
        signature = entrypoint.signature
        found = value.as_type(signature.input_type, entrypoint.input_schema)
        signature.encode_input(found, "input", _UNLIMITED)
    except InvalidInput as error:
        command = click.get_current_context().info_name or ""
        hint = session.again(command, target, "--help")
        text = str(error)
        raise type(error)(f"{text}{'' if text.endswith('?') else ';'} see {hint}") from None
    return found
