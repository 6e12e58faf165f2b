"""The session settings that correctness rests on, whatever the server, the database, the user, the
URL and the environment have set; and the refusal of a database that could not hold every text.

Times are stored as numbers and read as such, so `TimeZone` and `DateStyle` do not matter here;
`search_path` is left alone, as it says in which schema the store is.
"""

from __future__ import annotations

from typing import Any

from stepwell.engine.errors import StoreError

# For `psycopg.connect`: goes before what the URL and PGCLIENTENCODING say.
CLIENT_ENCODING = "UTF8"

_SETTINGS = (
    # What is written into a statement is quoted for this.
    "standard_conforming_strings = on",
    # Claims pass over what others have locked and read anew what they waited for. At a stricter
    # level each of that is an error.
    "default_transaction_isolation = 'read committed'",
    "default_transaction_read_only = off",
    "default_transaction_deferrable = off",
    # Limits and tokens of queues are compared with what was stored: all digits come back.
    "extra_float_digits = 1",
    "bytea_output = hex",
    # A whole act is one transaction, which takes as long as it takes.
    "statement_timeout = 0",
    "lock_timeout = 0",
    "idle_in_transaction_session_timeout = 0",
)
# Settings by the version of the server that came with them.
_SINCE = ((140000, "idle_session_timeout = 0"), (170000, "transaction_timeout = 0"))


def prepare_session(connection: Any, place: str, *more: str) -> None:
    """Set these settings and `more` ("name = value") on a new connection, in one message.

    Raises StoreError, which names `place`, for a database that is not UTF-8.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"{place}: its database has the encoding {encoding}, which cannot hold every text; "
            "create another one: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )
    version = connection.info.server_version
    later = (setting for since, setting in _SINCE if version >= since)
    settings = (*_SETTINGS, *later, *more)
    connection.execute("; ".join(f"SET {setting}" for setting in settings))
