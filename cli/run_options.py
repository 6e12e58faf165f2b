"""The flags of `run` and `start` that say when, where and for how long a run runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import click

from stepwell.cli.options import TIME
from stepwell.engine.run_options import OnDuplicate

F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601 with its zone."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The time that the text says."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fail(
                f"must be a time with its zone, such as 2030-01-31T18:00Z or "
                f"2030-01-31T18:00+02:00, got {value!r}",
                param,
                ctx,
            )
        return found


MOMENT = Moment()


class MomentOrDuration(click.ParamType[Any]):
    """A time, or how long from now."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The datetime, or the seconds."""
        try:
            return TIME.convert(value, param, ctx)
        except click.UsageError:
            return MOMENT.convert(value, param, ctx)


_OPTIONS = (
    click.option("--queue", help="The queue of steps whose executors name none."),
    click.option("--priority", type=int, help="The priority of its steps; smaller runs first."),
    click.option("--partition-key", metavar="KEY", help="The group of runs that it belongs to."),
    click.option(
        "--dedup-key", metavar="KEY", help="Store no second run while one with this key is open."
    ),
    click.option(
        "--on-duplicate",
        type=click.Choice([choice.value for choice in OnDuplicate]),
        help="What to do if there is one: take it, refuse, or replace it if it has not begun.  "
        "[default: return]",
    ),
    click.option(
        "--dedup-for",
        type=TIME,
        metavar="TIME",
        help="Keep the key taken for this long after a success.",
    ),
    click.option("--start-at", type=MOMENT, metavar="WHEN", help="Begin no sooner than this."),
    click.option(
        "--delay", type=TIME, metavar="TIME", help="Begin no sooner than after this time."
    ),
    click.option(
        "--max-delay",
        type=TIME,
        metavar="TIME",
        help="How far --on-duplicate replace may push the start.",
    ),
    click.option(
        "--start-by",
        type=MomentOrDuration(),
        metavar="WHEN|TIME",
        help="Cancel the run if it has not begun by then.",
    ),
    click.option(
        "--run-timeout",
        "run_timeout",
        type=TIME,
        metavar="TIME",
        help="Fail the run if it takes longer, from when its first step begins.",
    ),
    click.option(
        "--deadline", type=MOMENT, metavar="WHEN", help="Fail the run if it has not ended then."
    ),
    click.option("--version", "run_version", help="The version of the package's code."),
)

# What click names the values of the flags.
_FLAGS = (
    *("queue", "priority", "partition_key", "dedup_key", "on_duplicate", "dedup_for", "start_at"),
    *("delay", "max_delay", "start_by", "run_timeout", "deadline", "run_version"),
)
# The option of `start_run` for each flag that has another name.
_NAMES = {"run_timeout": "timeout", "run_version": "version"}


def run_options(function: F) -> F:
    """Give a command the flags."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `start_run` among what a command was given."""
    chosen = {name: given[name] for name in _FLAGS if given[name] is not None}
    return {_NAMES.get(name, name): value for name, value in chosen.items()}
