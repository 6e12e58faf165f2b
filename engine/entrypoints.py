"""How runs begin: entrypoints, and what their authors say of them for people and programs."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypedDict

from stepwell.engine.descriptions import EntrypointDescription, first_paragraph
from stepwell.engine.errors import InvalidInput, InvalidPackage, shown
from stepwell.engine.executor_options import ExecutorDefaults
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.ids import check_id
from stepwell.engine.input_schemas import checked_schema, schema_of
from stepwell.engine.signature import Signature, is_coroutine_function

# The longest title and the longest summary, in characters.
MAX_TITLE = 200
MAX_SUMMARY = 200

_log = logging.getLogger("stepwell")
# What would break a line, or cannot be stored.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class EntrypointOptions(TypedDict, total=False):
    """What `@package.entrypoint` takes.

    `name` is the function's if it is left out. `title` and `description` are for people; the
    description is the first paragraph of the function's docstring if it is left out. `tags` are
    given to each of its runs. `summary` is called with the typed input of a run and returns a line
    about it. With `trigger=False`, `Runtime.trigger` refuses to start it. `input_schema` is the
    JSON Schema for forms, instead of the one of the annotation.
    """

    name: str | None
    title: str | None
    description: str | None
    tags: Sequence[str]
    summary: Callable[[Any], str] | None
    trigger: bool
    input_schema: Mapping[str, Any] | None


class WorkflowOptions(EntrypointOptions, ExecutorDefaults, total=False):
    """What `@package.workflow` takes: the options of an entrypoint, and of its one step.

    If its worker dies more than `max_recoveries` times, the run fails; None: as the worker says.
    """

    max_recoveries: int | None


@dataclass(frozen=True, slots=True)
class Registration:
    """What an author says of an entrypoint besides its function."""

    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    summary: Callable[[Any], object] | None = None
    trigger: bool = True
    input_schema: dict[str, Any] | None = None

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        name: str,
        options: EntrypointOptions,
        tags: Sequence[str],
        where: str,
    ) -> Registration:
        """The options, checked; `tags` are the package's.

        Raises InvalidPackage naming the place, which begins with `where`.
        """
        summary, trigger = options.get("summary"), options.get("trigger", True)
        if summary is not None and (not callable(summary) or is_coroutine_function(summary)):
            raise InvalidPackage(
                f"{where}.summary: must be a plain function of the input, got {shown(summary)}"
            )
        if not isinstance(trigger, bool):
            raise InvalidPackage(f"{where}.trigger: must be True or False, got {shown(trigger)}")
        schema = options.get("input_schema")
        own = checked_tags(options.get("tags", ()), f"{where}.tags")
        return cls(
            checked_title(options.get("title"), f"{where}.title") or name,
            checked_description(options.get("description"), f"{where}.description")
            or first_paragraph(function),
            tuple(dict.fromkeys((*tags, *own))),
            summary,
            trigger,
            None if schema is None else checked_schema(schema, f"{where}.input_schema"),
        )


class Entrypoint:
    """A function that turns a run's typed input into the initial graph.

    `target` is what starts it by name: `package:entrypoint`. `tags` begin with the package's.
    """

    type: ClassVar[str] = "entrypoint"
    max_recoveries: int | None = None

    def __init__(
        self,
        package: str,
        name: str,
        function: Callable[..., Any],
        registration: Registration,
        signature: Signature | None = None,
    ) -> None:
        self.name = name
        self.target = f"{package}:{name}"
        self.function = function
        self.signature = signature or Signature(function, RunBuilder, {"run", "builder"})
        self.title = registration.title
        self.description = registration.description
        self.tags = registration.tags
        self.trigger = registration.trigger
        self._registration = registration

    def build(self, run: RunBuilder) -> None:
        """Call the function. Raises InvalidPayload when the input is not of its type."""
        self.function(*self.signature.arguments(run, run.raw_input, "input"))

    @cached_property
    def input_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the input: as the author gave it, or else of the annotation.

        None if it takes no input, empty if it takes any.
        """
        by_hand = self._registration.input_schema
        return schema_of(self.signature) if by_hand is None else by_hand

    def prepare(self) -> None:
        """Check the signature. Raises InvalidPackage."""
        self.signature.prepare()
        if self._registration.input_schema is not None and not self.signature.takes_input:
            raise InvalidPackage(
                f"{self.target}: has an input_schema, but the function takes no input"
            )

    def summarize(self, raw_input: str) -> str | None:
        """A line about a run with this input (JSON text), of up to 200 characters, or None.

        It is called with the typed input, None if there is none. One that raises, or returns no
        text, costs a warning in the log.
        """
        summary = self._registration.summary
        if summary is None:
            return None
        try:
            given = self.signature.arguments(None, raw_input, "input")
            typed = given[self.signature.takes_context :]
            said = summary(typed[0] if typed else None)
            line = " ".join(_UNFIT.sub(" ", said).split()) if isinstance(said, str) else ""
        except (Exception, SystemExit) as error:
            _log.warning("%s: its summary raised %s", self.target, shown(error))
            return None
        if not line:
            _log.warning("%s: its summary must return a text, got %s", self.target, shown(said))
            return None
        return line if len(line) <= MAX_SUMMARY else f"{line[: MAX_SUMMARY - 1].rstrip()}…"

    def describe(self) -> EntrypointDescription:
        """All that is known of it, as values."""
        return EntrypointDescription(
            name=self.name,
            type=self.type,
            title=self.title,
            description=self.description,
            tags=self.tags,
            trigger=self.trigger,
            takes_input=self.signature.takes_input,
            input_schema=self.input_schema,
            max_recoveries=self.max_recoveries,
        )


def checked_title(value: object, where: str) -> str | None:
    """A title, or None. Raises InvalidPackage."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TITLE:
        raise InvalidPackage(
            f"{where}: must be a text of 1 to {MAX_TITLE} characters, got {shown(value)}"
        )
    return value


def checked_recoveries(value: object, where: str) -> int | None:
    """A number of recoveries, or None. Raises InvalidPackage."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1_000:
        raise InvalidPackage(f"{where}: must be a whole number from 0 to 1000, got {shown(value)}")
    return value


def checked_description(value: object, where: str) -> str | None:
    """A description, or None. Raises InvalidPackage."""
    if value is not None and not isinstance(value, str):
        raise InvalidPackage(f"{where}: must be a text, got {shown(value)}")
    return None if value is None else inspect.cleandoc(value)


def checked_tags(value: object, where: str) -> tuple[str, ...]:
    """Tags, each once. Raises InvalidPackage."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidPackage(f"{where}: must be a list of strings, got {shown(value)}")
    try:
        return tuple(dict.fromkeys(check_id(tag, where) for tag in value))
    except InvalidInput as error:
        raise InvalidPackage(str(error)) from None
