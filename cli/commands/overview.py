"""`stepwell status`, `queues` and `workers`: the store at a glance."""

from __future__ import annotations

import click

from stepwell.cli.options import Command
from stepwell.cli.output import Output, duration
from stepwell.cli.session import Session
from stepwell.engine.model import QueueStatus


@click.command(cls=Command)
@click.pass_obj
def status(session: Session) -> None:
    """Show the store at a glance."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.status()
    if out.json:
        out.value(found)
        return
    runs = ", ".join(f"{count:,} {name}" for name, count in sorted(found.runs.items()))
    out.fields(
        {
            "store": found.store,
            "schema": found.schema_version,
            "runs": runs or "none",
            "open steps": found.open_steps,
            "running": found.running_steps,
            "workers": found.workers,
        }
    )
    out.line()
    _print_queues(out, list(found.queues))


@click.command(cls=Command)
@click.pass_obj
def queues(session: Session) -> None:
    """List queues with what is in them."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.queues()
    if out.json:
        out.value(found)
    else:
        _print_queues(out, found)


def _print_queues(out: Output, found: list[QueueStatus]) -> None:
    out.table(
        ("queue", "ready", "running", "max in flight", "rate limit"),
        [
            (queue.name, queue.ready, queue.running, queue.max_in_flight or "-", _rate(queue))
            for queue in found
        ],
    )


def _rate(queue: QueueStatus) -> str:
    if queue.rate_limit is None:
        return "-"
    tokens = "" if queue.tokens is None else f", {queue.tokens:.1f} saved up"
    return f"{queue.rate_limit:g} per {duration(queue.rate_period.total_seconds())}{tokens}"


@click.command(cls=Command)
@click.pass_obj
def workers(session: Session) -> None:
    """List workers that have not stopped."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.workers()
    if out.json:
        out.value(found)
        return
    out.table(
        ("id", "host", "pid", "version", "queues", "labels", "started", "seen"),
        [
            (
                *(row.id, row.host, str(row.pid), row.version),
                *(", ".join(row.queues) if row.queues else "all", ", ".join(row.labels) or "-"),
                *(row.started_at, row.seen_at),
            )
            for row in found
        ],
    )
    if not found:
        out.say("no workers")
