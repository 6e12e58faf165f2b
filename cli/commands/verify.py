"""`stepwell verify`: checks all rules of a store."""

from __future__ import annotations

import click

from stepwell.cli.options import Command
from stepwell.cli.output import Output, counted
from stepwell.cli.session import Session
from stepwell.engine.errors import CorruptData
from stepwell.engine.verification import MOST_SHOWN, Verification


@click.command(cls=Command)
@click.option(
    "--most",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=MOST_SHOWN,
    show_default=True,
    help="Show at most this many violations of each check.",
)
@click.pass_obj
def verify(session: Session, most: int) -> None:
    """Check a store and everything in it while workers go on.

    Reads one snapshot of the store; changes nothing, and workers need not stop. Each violation is a
    line: the check, the run and step, and what is wrong. The exit code is then 8.
    """
    out = session.output
    with session.reading() as runtime:
        found = runtime.verify(most)
        store = runtime.status().store if found.ok else ""
    if not found.ok:  # even if the reader stops in the middle
        session.exit_code = CorruptData.exit_code
    if out.json:
        out.value(
            {
                "ok": found.ok,
                "checked": found.checked,
                "counts": found.counts,
                "violations": found.violations,
            }
        )
    else:
        _print(out, found, store)
    if not found.ok:
        raise CorruptData(
            f"{counted(found.total, 'violation')} of what must hold; keep the store as it is, "
            "and look for the first thing that went wrong with it"
        )


def _print(out: Output, found: Verification, store: str) -> None:
    if found.ok:
        out.line(f"{store}: all {len(found.checked)} checks hold")
        return
    for check, count in found.counts.items():
        shown = [violation for violation in found.violations if violation.check == check]
        for violation in shown:
            out.line(str(violation))
        if count > len(shown):
            out.line(f"{check}: and {count - len(shown):,} more")
