"""`stepwell records`: a package's keyed documents."""

from __future__ import annotations

import click

from stepwell.cli.options import Command
from stepwell.cli.output import Output, json_cell, json_text
from stepwell.cli.session import Session


@click.command(cls=Command)
@click.argument("package", metavar="PACKAGE")
@click.argument("collection", metavar="[COLLECTION]", required=False)
@click.argument("key", metavar="[KEY]", required=False)
@click.pass_obj
def records(session: Session, package: str, collection: str | None, key: str | None) -> None:
    """Show a package's records.

    Without a COLLECTION, lists the collections and how many records are in each. With a KEY, shows
    that record, who wrote it and when. With --json, prints an object of values by key.
    """
    out = session.output
    with session.reading() as runtime:
        if collection is None:
            _print_collections(out, package, runtime.collections(package))
            return
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


def _print_collections(out: Output, package: str, found: dict[str, int]) -> None:
    if out.json:
        out.value(found)
        return
    out.table(("collection", "records"), list(found.items()))
    if not found:
        out.say(f"no records of package {package!r}")
