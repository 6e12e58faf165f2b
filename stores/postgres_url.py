"""URLs of PostgreSQL databases: read as libpq reads them, and shown without their password."""

from __future__ import annotations

import re
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from stepwell.engine.errors import InvalidInput, nearest

STARS = "***"
_PORTS = re.compile(r"[\d,]*")
_UNKNOWN = re.compile(r'invalid URI query parameter: "(\w+)"')


def shown(url: str) -> str:
    """The URL as messages show it: user, host and database, and nothing else.

    Raises InvalidInput for a URL that cannot be parsed, without showing it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        _check_parameters(url, str(error))
        parts = None
    # A password that contains "/" or "@" ends up in these fields, and so in messages.
    if (
        parts is None
        or not _PORTS.fullmatch(str(parts.get("port") or ""))
        or any("@" in str(parts.get(part)) for part in ("host", "dbname", "user"))
    ):
        # Without the driver's message, which may show part of the password.
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


def typed(url: str) -> str:
    """The URL in a form that can be typed again, with stars in place of secrets.

    Raises InvalidInput like `shown`, without showing it.
    """
    shown(url)
    secret = {o.keyword.decode() for o in Conninfo.get_defaults() if o.dispchar in (b"*", b"D")}
    parts = {
        name: STARS if name in secret else quote(str(value), safe="/,:*")
        for name, value in conninfo_to_dict(url).items()
        if value
    }
    user, password = parts.pop("user", ""), parts.pop("password", "")
    who = f"{user}{':' if password else ''}{password}"
    where = ""
    if not any(mark in parts.get("host", "") for mark in "/,:"):  # else it is a parameter
        port = parts.pop("port", "")
        where = f"{parts.pop('host', '')}{':' if port else ''}{port}"
    database = parts.pop("dbname", "")
    rest = "&".join(f"{name}={value}" for name, value in parts.items())
    return f"postgresql://{who}{'@' if who else ''}{where}/{database}{'?' if rest else ''}{rest}"


def _check_parameters(url: str, said: str) -> None:
    """Raises InvalidInput naming the parameter, if just one is unknown to libpq."""
    unknown = _UNKNOWN.search(said)
    # With an "@" after the "?", it may be part of the password.
    if unknown is None or "@" in url.partition("?")[2]:
        return
    name = unknown.group(1)
    hint = nearest(name, [option.keyword.decode() for option in Conninfo.get_defaults()])
    raise InvalidInput(
        f"store: the postgresql:// URL cannot be read: unknown parameter {name!r}"
        f"{hint if 'did you mean' in hint else '; leave it out'}"
    )
