"""The live display of `stepwell run` on a terminal. Loaded on first use."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stepwell.cli.output import clean, duration
from stepwell.cli.progress import Snapshot

RUNNING_SHOWN = 5
STYLES = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "skipped": "dim",
    "running": "cyan",
}


class LiveDisplay:
    """Counts per status, rate, elapsed time and the running steps, kept up to date in place.

    `console` is stderr by default; NO_COLOR is honoured there.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(
            console=console or Console(stderr=True, highlight=False),
            auto_refresh=False,
            redirect_stdout=True,
        )
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the snapshot over the previous one."""
        self._live.update(_draw(snapshot), refresh=True)

    def close(self) -> None:
        """Leave the last display, without the running steps."""
        self._live.stop()


def _draw(snapshot: Snapshot) -> Group:
    counts = snapshot.counts
    status = counts.status.value
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(f"{status:<9}", style=STYLES.get(status, "")),
        ProgressBar(total=max(1, counts.total), completed=snapshot.ended, width=24),
        Text(f"{snapshot.percent:>3} %  {snapshot.ended:,} of {counts.total:,} steps"),
        Text(f"{snapshot.rate:,.0f}/s  {duration(snapshot.elapsed)}", style="dim"),
    )
    numbers = {
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "canceled": counts.canceled,
        "skipped": counts.skipped,
        "running": len(counts.running),
    }
    line = Text("  ").join(
        Text(f"{number:,} {name}", style=STYLES[name]) for name, number in numbers.items() if number
    )
    running = [
        Text(f"  {clean(step)}", style="cyan", overflow="ellipsis", no_wrap=True)
        for step in counts.running[:RUNNING_SHOWN]
    ]
    if len(counts.running) > RUNNING_SHOWN:
        running.append(Text(f"  … and {len(counts.running) - RUNNING_SHOWN} more", style="dim"))
    waits = [Text(f"  {clean(text)}", style="magenta") for text in snapshot.waits]
    return Group(head, *([line] if line.plain else []), *running, *waits)
