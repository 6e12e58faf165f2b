"""URLs of SQLite databases: `sqlite:///` and the path of the file, unquoted."""

from __future__ import annotations

import re
from pathlib import Path

from stepwell.engine.errors import InvalidInput

PREFIX = "sqlite:///"
# What other libraries take as options; the name of a folder may contain a question mark.
_QUERY = re.compile(r"\?(\w+=.*|[^/]*)$", re.DOTALL)


def file_of(url: str) -> Path:
    """The file that a `sqlite:///` URL names.

    Raises InvalidInput for a URL without a file, or with a query, which would have no effect.
    """
    if not url.startswith(PREFIX) or len(url) == len(PREFIX):
        raise InvalidInput(
            f"store: {url!r} names no file; write sqlite:///engine.db, or "
            "sqlite:////folder/engine.db for an absolute path"
        )
    query = _QUERY.search(url)
    if query is not None:
        raise InvalidInput(
            f"store: {url!r}: a SQLite URL takes no options, and no file with a '?' in its name; "
            f"leave out {query.group()!r}"
        )
    return Path(url.removeprefix(PREFIX))
