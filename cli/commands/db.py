"""`stepwell db`: the store's schema."""

from __future__ import annotations

import click

import stepwell.stores as stores
from stepwell.cli.options import Command
from stepwell.cli.session import Session
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError
from stepwell.stores.sqlite_url import PREFIX as SQLITE


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def db() -> None:
    """Look after the store's schema."""


@db.command(cls=Command)
@click.pass_obj
def upgrade(session: Session) -> None:
    """Bring the schema up to date; makes the store if there is none."""
    out = session.output
    url = session.store_url
    label = stores.opening.label(url, clock=SystemClock())
    session.make_home()
    applied = stores.opening.upgrade(url, clock=SystemClock())
    if out.json:
        out.value({"store": label, "applied": applied})
    else:
        numbers = ", ".join(f"{number:04d}" for number in applied)
        out.line(f"{label}: applied {numbers}" if applied else f"{label}: is up to date")


@db.command(cls=Command)
@click.pass_obj
def check(session: Session) -> None:
    """Say whether the schema is up to date and whole; exit code 8 when it is not."""
    out = session.output
    session.check_store_exists()
    url = session.store_url
    label = stores.opening.label(url, clock=SystemClock())
    version, latest, wrong = stores.opening.schema(url, clock=SystemClock())
    current = version == latest
    if wrong or not current:
        session.exit_code = StoreError.exit_code
    if out.json:
        told = {"store": label, "schema_version": version, "latest": latest, "current": current}
        out.value({**told, "differences": wrong})
    else:
        out.line(f"{label}: schema {version} of {latest}")
        for line in wrong:
            out.line(f"  {line}")
    if wrong:
        raise StoreError(stores.opening.wrong_shape(label, version, wrong))
    if not current:
        again = session.typed("db", "upgrade")
        raise StoreError(f"store {label}: its schema is behind; run: {again}")


@db.command(cls=Command)
@click.pass_obj
def sql(session: Session) -> None:
    """Print all migrations as one SQL script; opens no store."""
    out = session.output
    url = session.configuration.store or f"{SQLITE}engine.db"
    script = stores.opening.migration_script(url, clock=SystemClock())
    if out.json:
        out.value({"sql": script})
    else:
        out.text(script.rstrip("\n"))
