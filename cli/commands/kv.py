"""`stepwell kv`: the key-value store that all runs share."""

from __future__ import annotations

import click

from stepwell.cli.inputs import json_argument
from stepwell.cli.options import TIME, Command, limit_option
from stepwell.cli.output import json_cell, json_text, moment
from stepwell.cli.session import Session
from stepwell.engine.errors import Conflict, NotFound, nearest
from stepwell.engine.key_values import KeyValueStore

# How many keys are searched for the nearest one.
KEYS_LOOKED_AT = 1_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def kv() -> None:
    """Look at and change the key-value store."""


@kv.command(cls=Command)
@click.argument("key", metavar="KEY")
@click.pass_obj
def get(session: Session, key: str) -> None:
    """Print the value of a key; with --json its version and times, too."""
    out = session.output
    with session.reading() as runtime:
        entry = runtime.kv.entry(key)
        if entry is None:
            raise _no_key(runtime.kv, key)
    if out.json:
        out.value(entry)
    else:
        out.text(json_cell(entry.value))


@kv.command(name="set", cls=Command)
@click.argument("key", metavar="KEY")
@click.argument("value", metavar="JSON|@FILE|-")
@click.option(
    "--expires-in",
    type=TIME,
    metavar="TIME",
    help="Remove it after this time.  [default: keep it]",
)
@click.option(
    "--version",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only if the key has this version; 0: only if there is none.",
)
@click.pass_obj
def set_key(
    session: Session, key: str, value: str, expires_in: float | None, version: int | None
) -> None:
    """Set a key, and print its new version.

    If it has another --version, the exit code is 4 and nothing is stored.
    """
    given = json_argument(value, "value")
    session.make_home()
    with session.writing() as runtime:
        stored = runtime.kv.set(key, given, expires_in=expires_in, version=version)
    session.output.done({"key": key, "version": stored}, f"{key} has version {stored}")


@kv.command(cls=Command)
@click.argument("key", metavar="KEY")
@click.option(
    "--version",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only if the key has this version.",
)
@click.pass_obj
def delete(session: Session, key: str, version: int | None) -> None:
    """Remove a key.

    Exit code 3 if there is no such key, 4 if it has another --version.
    """
    with session.reading() as runtime:
        if not runtime.kv.delete(key, version=version):
            entry = runtime.kv.entry(key)
            if entry is None:
                raise _no_key(runtime.kv, key)
            raise Conflict(
                f"kv {key!r}: expected version {version}, but it has version {entry.version}; "
                "nothing was removed"
            )
    session.output.done({"key": key, "deleted": True}, f"{key} is removed")


@kv.command(name="list", cls=Command)
@click.argument("prefix", metavar="[PREFIX]", default="")
@limit_option()
@click.option("--after", metavar="KEY", default="", help="Only keys after this one: the next page.")
@click.pass_obj
def list_keys(session: Session, prefix: str, limit: int, after: str) -> None:
    """List keys with their values, those that begin with PREFIX."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.kv.list(prefix, after=after, limit=limit)
    if out.json:
        out.value(found)
        return
    out.table(
        ("key", "version", "updated", "expires", "value"),
        [
            (
                *(item.key, str(item.version), item.updated_at),
                *(moment(item.expires_at) or "-", json_text(item.value, indent=None)),
            )
            for item in found
        ],
    )
    if not found:
        out.say("no keys" if not prefix else f"no keys that begin with {prefix!r}")
    elif len(found) == limit:
        out.say(f"there may be more: --after {found[-1].key}")


def _no_key(store: KeyValueStore, key: str) -> NotFound:
    known = [entry.key for entry in store.list(limit=KEYS_LOOKED_AT)]
    return NotFound(f"there is no key {key!r}{nearest(key, known)}")
