"""One key-value store for all runs, with compare-and-set and expiry by the store's clock.

A deleted entry stays for a while as one that has expired, without its value: so the versions of a
key go on rising, and who compared with an old one never overwrites a new one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.clock import to_datetime
from stepwell.engine.crash_points import Write
from stepwell.engine.ids import check_id
from stepwell.engine.model import KeyValue
from stepwell.engine.payloads.payload import decode
from stepwell.stores.sql.connection.corruption import decodes, reads_stored
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.statements import Statement, Statements, StoreTransaction, bind
from stepwell.stores.sql.schema import tables

# How long an expired entry stays, and how many are removed with one write.
REMEMBERED = 24 * 60 * 60 * 1_000_000
MAX_REMOVED = 100
MAX_KEY = 1_000

kv = tables.kv
_ENTRY = (kv.c.key, kv.c.value, kv.c.version, kv.c.expires_at, kv.c.updated_at)


class KeyValueStatements(Statements):
    """Each write is one statement, atomic against all others."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        # What was removed expired as it was written, also where the clock went back since.
        live = sa.or_(
            kv.c.expires_at.is_(None),
            sa.and_(kv.c.expires_at > bind("now"), kv.c.expires_at > kv.c.updated_at),
        )
        self._reads(live)
        self._writes(dialect, live)

    def _reads(self, live: Any) -> None:
        self.get = Statement(sa.select(*_ENTRY).where(kv.c.key == bind("key"), live), "key", "now")
        listed = (
            sa.select(*_ENTRY)
            .where(kv.c.key > bind("after"), kv.c.key >= bind("prefix"), live)
            .order_by(kv.c.key)
            .limit(bind("limit"))
        )
        self.list_from = Statement(listed, "after", "prefix", "now", "limit")
        self.list = Statement(
            listed.where(kv.c.key < bind("end")), *("after", "prefix", "now", "limit", "end")
        )

    def _writes(self, dialect: Any, live: Any) -> None:
        new = dialect.insert(kv).values(
            key=bind("key"),
            value=bind("value"),
            version=sa.literal_column("1"),
            expires_at=bind("expires"),
            updated_at=bind("now"),
        )
        written = {
            "value": bind("value"),
            "version": kv.c.version + 1,
            "expires_at": bind("expires"),
            "updated_at": bind("now"),
        }
        names = ("key", "value", "expires", "now")

        def put(*only: Any) -> Statement:
            upsert = new.on_conflict_do_update(
                index_elements=["key"], set_=written, where=sa.and_(*only) if only else None
            )
            return Statement(upsert.returning(kv.c.version), *names)

        self.put = put()
        self.put_new = put(
            sa.or_(kv.c.expires_at <= bind("now"), kv.c.expires_at <= kv.c.updated_at)
        )
        mine = (kv.c.key == bind("key"), live)
        change = sa.update(kv).values(written).where(*mine, kv.c.version == bind("version"))
        self.put_over = Statement(change.returning(kv.c.version), *names, "version")
        removed = {
            "value": "null",
            "version": kv.c.version + 1,
            "expires_at": bind("now"),
            "updated_at": bind("now"),
        }
        remove = sa.update(kv).values(removed).where(*mine).returning(kv.c.version)
        self.remove = Statement(remove, "key", "now")
        self.remove_version = Statement(
            remove.where(kv.c.version == bind("version")), *("key", "now", "version")
        )
        old = (
            sa.select(kv.c.key)
            .where(kv.c.expires_at < bind("before"))
            .order_by(kv.c.expires_at)
            .limit(MAX_REMOVED)
            .with_for_update(skip_locked=True)
        )
        self.forget_old = Statement(sa.delete(kv).where(kv.c.key.in_(old)), "before")


class KeyValues:
    """The role `ports.KeyValues`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sql = KeyValueStatements(database.dialect)

    @reads_stored
    def kv_get(self, key: str) -> KeyValue | None:
        with self._db.read() as tx:
            row = self._sql.get(tx, key, tx.now).fetchone()
        return None if row is None else _entry(row)

    @reads_stored
    def kv_set(
        self, key: str, value: str, *, expires_in: int | None = None, version: int | None = None
    ) -> int | None:
        check_id(key, "key", MAX_KEY)
        sql = self._sql

        def work(tx: StoreTransaction) -> int | None:
            expires = None if expires_in is None else tx.now + expires_in
            given = (key, value, expires, tx.now)
            if version is None:
                row = sql.put(tx, *given).fetchone()
            elif version == 0:
                row = sql.put_new(tx, *given).fetchone()
            else:
                row = sql.put_over(tx, *given, version).fetchone()
            # What is removed is locked, and nothing is waited for after that.
            sql.forget_old(tx, tx.now - REMEMBERED)
            return None if row is None else int(row[0])

        return self._db.write(work, Write.KV_SET)

    @reads_stored
    def kv_delete(self, key: str, *, version: int | None = None) -> bool:
        sql = self._sql

        def work(tx: StoreTransaction) -> bool:
            if version is None:
                return sql.remove(tx, key, tx.now).fetchone() is not None
            return sql.remove_version(tx, key, tx.now, version).fetchone() is not None

        return self._db.write(work, Write.KV_DELETE)

    @reads_stored
    def kv_list(self, prefix: str = "", after: str = "", limit: int = 1_000) -> list[KeyValue]:
        with self._db.read() as tx:
            end = _after_all_with(prefix)
            given = (after, prefix, tx.now, limit)
            if end is None:
                rows = self._sql.list_from(tx, *given).fetchall()
            else:
                rows = self._sql.list(tx, *given, end).fetchall()
        return [_entry(row) for row in rows]


def _after_all_with(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`, by code points; None if there is none."""
    while prefix:
        last = ord(prefix[-1]) + 1
        if last == 0xD800:  # the first of the code points that are no characters
            last = 0xE000
        if last <= 0x10FFFF:
            return prefix[:-1] + chr(last)
        prefix = prefix[:-1]
    return None


@decodes
def _entry(row: tuple[str, str, int, int | None, int]) -> KeyValue:
    key, value, version, expires_at, updated_at = row
    expires = None if expires_at is None else to_datetime(expires_at)
    return KeyValue(key, decode(value), version, expires, to_datetime(updated_at))
