"""`stepwell records`: a package's keyed documents."""

from __future__ import annotations

import click

from stepwell.cli.options import Command
from stepwell.cli.output import json_cell, json_text
from stepwell.cli.session import Session


@click.command(cls=Command)
@click.argument("package", metavar="PACKAGE")
@click.argument("collection", metavar="COLLECTION")
@click.argument("key", metavar="[KEY]", required=False)
@click.pass_obj
def records(session: Session, package: str, collection: str, key: str | None) -> None:
    """Show a package's records.

    With --json an object of values by key; with a KEY the one record with who wrote it and when.
    """
    out = session.output
    with session.reading() as runtime:
        if key is not None:
            record = runtime.record(package, collection, key)
            if out.json:
                out.value(record)
            else:
                out.fields(
                    {
                        "key": record.key,
                        "value": json_cell(record.value),
                        "run": record.run_id,
                        "step": record.step_id,
                        "updated": record.updated_at,
                    }
                )
            return
        values = runtime.records(package, collection)
    if out.json:
        out.value(values)
        return
    out.table(
        ("key", "value"), [(name, json_text(value, indent=None)) for name, value in values.items()]
    )
    if not values:
        out.say(f"no records in {package}/{collection}")
