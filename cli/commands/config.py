"""`stepwell config`: the settings of a command, and where they come from."""

from __future__ import annotations

from contextlib import suppress

import click

import stepwell.stores as stores
from stepwell.cli.options import Command, settings_options
from stepwell.cli.session import Session, without_secrets
from stepwell.cli.settings import ENGINE, PLACES, Configuration
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError
from stepwell.stores.artifacts.opening import open_artifacts
from stepwell.stores.checkpoints.opening import check_url
from stepwell.stores.projections.opening import open_projections


@click.command(cls=Command)
@settings_options
@click.pass_obj
def config(session: Session) -> None:
    """Show all settings, and where each one comes from.

    Opens no store, but refuses a URL that cannot be opened. The file is the one whose settings
    hold here; passwords are not shown.
    """
    out = session.output
    found = session.configuration
    _check_places(found)
    values: dict[str, object] = {
        "store": without_secrets(session.store_url),
        "artifacts": _url(found.artifacts),
        "projections": _url(found.projections),
        "checkpoints": _url(found.checkpoints),
        "home": found.home,
        "app": list(found.app),
        **{name: getattr(found.engine, name) for name in ENGINE},
    }
    file = None if found.file is None else str(found.file)
    sources = {name: found.sources.get(name, "default") for name in (*PLACES, *ENGINE)}
    if out.json:
        out.value(
            {
                "file": file,
                "settings": {
                    name: {"value": value, "source": sources[name]}
                    for name, value in values.items()
                },
            }
        )
        return
    out.fields({"file": file or "none"})
    out.line()
    out.table(
        ("setting", "value", "from"),
        [(name, _shown(value), sources[name]) for name, value in values.items()],
    )


def _check_places(found: Configuration) -> None:
    """Raises InvalidInput for a URL that other commands would refuse to open; opens nothing."""
    clock = SystemClock()
    with suppress(StoreError):  # showing a URL needs no driver
        if found.store is not None:
            stores.opening.label(found.store, clock=clock)
    if found.artifacts is not None:
        open_artifacts(found.artifacts)
    if found.checkpoints is not None:
        check_url(found.checkpoints)
    with suppress(StoreError):
        if found.projections is not None:
            open_projections(found.projections, durability=found.engine.durability, clock=clock)


def _url(value: str | None) -> str | None:
    return None if value is None else without_secrets(value)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else str(value)
