"""The session settings that correctness depends on, whatever server, database, user, URL and
environment have set; and the refusal of databases that cannot store every text.

Times are stored and read as numbers, so `TimeZone` and `DateStyle` do not matter here;
`search_path` is left alone, because it determines the schema of the store.
"""

from __future__ import annotations

from typing import Any

from stepwell.engine.errors import StoreError

# For `psycopg.connect`: takes precedence over the URL and PGCLIENTENCODING.
CLIENT_ENCODING = "UTF8"

_SETTINGS = (
    # Literals in statements are quoted for this setting.
    "standard_conforming_strings = on",
    # Claims skip rows that others have locked, and reread rows after waiting for a lock. Under a
    # stricter level both are errors.
    "default_transaction_isolation = 'read committed'",
    "default_transaction_read_only = off",
    "default_transaction_deferrable = off",
    # Limits and tokens of queues are compared with stored values: floats must be exact.
    "extra_float_digits = 1",
    "bytea_output = hex",
    # An operator's act is one transaction, however long it takes.
    "statement_timeout = 0",
    "lock_timeout = 0",
    "idle_in_transaction_session_timeout = 0",
)
# Settings by the server version that introduced them.
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
