"""URLs of PostgreSQL databases: read as libpq reads them, and shown without their password."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from stepwell.engine.errors import InvalidInput

_PORTS = re.compile(r"[\d,]*")


def shown(url: str) -> str:
    """The URL as messages show it: who, where and which database; nothing else.

    Raises InvalidInput for a URL that cannot be read, without showing it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = None
    # A password with a "/" or "@" of its own ends up in these, and so in messages.
    if (
        parts is None
        or not _PORTS.fullmatch(str(parts.get("port") or ""))
        or any("@" in str(parts.get(part)) for part in ("host", "dbname", "user"))
    ):
        # Without the driver's words, which may show a part of the password.
        raise InvalidInput(
            "store: the postgresql:// URL cannot be read; write "
            "postgresql://user@host:5432/database, and %-encode what is special in a password"
        )
    user = parts.get("user")
    host, port = str(parts.get("host") or ""), parts.get("port")
    at = f"{user}@" if user else ""
    database = parts.get("dbname") or ""
    if host.startswith("/"):
        return f"postgresql://{at}/{database}?host={host}" + (f"&port={port}" if port else "")
    return f"postgresql://{at}{host}{f':{port}' if port else ''}/{database}"
