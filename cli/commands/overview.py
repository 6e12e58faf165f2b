"""`stepwell status`, `queues` and `workers`: an overview of the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from stepwell.cli.not_claimed import living, seen_since, wall_time
from stepwell.cli.options import Command
from stepwell.cli.output import Output, duration, moment, plain
from stepwell.cli.session import Session
from stepwell.engine.model import QueueStatus, WorkerRow
from stepwell.engine.queue_rules import most_per_period


@click.command(cls=Command)
@click.pass_obj
def status(session: Session) -> None:
    """Show the store at a glance."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.status()
        known = runtime.workers()
    live = len(living(known, seen_since(session)))
    silent = len(known) - live
    found = replace(found, workers=live)
    if out.json:
        queues = [_described(queue) for queue in found.queues]
        out.value(plain(found) | {"queues": queues, "silent_workers": silent})
        return
    runs = ", ".join(f"{count:,} {name}" for name, count in sorted(found.runs.items()))
    out.fields(
        {
            "store": found.store,
            "schema": found.schema_version,
            "runs": runs or "none",
            "open steps": found.open_steps,
            "running": found.running_steps,
            "workers": f"{live:,}, and {silent:,} silent" if silent else live,
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
        out.value([_described(queue) for queue in found])
    else:
        _print_queues(out, found)


def _described(queue: QueueStatus) -> dict[str, Any]:
    described: dict[str, Any] = plain(queue)
    return described | {"most_per_period": most_per_period(queue)}


def _print_queues(out: Output, found: list[QueueStatus]) -> None:
    out.table(
        ("queue", "ready", "running", "max in flight", "max per worker", "rate limit", "labels"),
        [
            (
                *(queue.name, queue.ready, queue.running),
                *(queue.max_in_flight or "-", queue.max_per_worker or "-"),
                *(_rate(queue), ", ".join(queue.labels) or "-"),
            )
            for queue in found
        ],
    )


def _rate(queue: QueueStatus) -> str:
    if queue.rate_limit is None:
        return "-"
    most = f"at most {most_per_period(queue):,} in any one"
    tokens = "" if queue.tokens is None else f", {queue.tokens:.1f} saved up"
    period = duration(queue.rate_period.total_seconds())
    return f"{queue.rate_limit:g} per {period} ({most}){tokens}"


@click.command(cls=Command)
@click.pass_obj
def workers(session: Session) -> None:
    """List workers that have not stopped.

    A worker that was not seen for a lease, because it was killed or cannot reach the store, is
    shown as silent, with the time since then.
    """
    out = session.output
    with session.reading() as runtime:
        found = runtime.workers()
    now, since = wall_time(), seen_since(session)
    if out.json:
        out.value(
            [
                plain(row)
                | {
                    "silent": row.seen_at < since,
                    "silent_for": (now - row.seen_at).total_seconds()
                    if row.seen_at < since
                    else None,
                }
                for row in found
            ]
        )
        return
    out.table(
        ("id", "host", "pid", "version", "queues", "labels", "started", "seen"),
        [
            (
                *(row.id, row.host, str(row.pid), row.version),
                *(", ".join(row.queues) if row.queues else "all", ", ".join(row.labels) or "-"),
                *(row.started_at, _seen(row, now, since)),
            )
            for row in found
        ],
    )
    if not found:
        out.say("no workers")


def _seen(row: WorkerRow, now: datetime, since: datetime) -> str:
    if row.seen_at >= since:
        return moment(row.seen_at)
    silent = (now - row.seen_at).total_seconds()
    return f"silent for {f'{silent:.0f} s' if silent < 60 else duration(silent)}"
