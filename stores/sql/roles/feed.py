"""The events of all runs in the order of their commits, for readers outside of a transaction.

Events are numbered within their run, and nothing orders those of different runs. The first reader
switches that on: it makes a table of *entries*, each a range of events that one transaction added
to one run, and triggers that fill it. A store that nobody reads like that has neither, and pays
nothing; one that is read pays a small row for each run that a transaction changes.

Where one transaction writes at a time, entries are numbered in the order of their commits, and a
cursor is the last one that was read. Where several do, one with a smaller number may be committed
later. There a cursor is a *snapshot*: what was committed when the reader looked. Each read is of a
batch: what a later snapshot sees and the cursor's does not, whatever its numbers are. Within it the
numbers are the order, and so they are within a run: who adds events to a run holds its row until
the commit, so that the next one draws its number afterwards, and is in the same batch or a later
one.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from pydantic_core import from_json, to_json

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import InvalidInput
from stepwell.engine.events import BEGINNING, NOW, EventPage
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.statements import Statement, StoreTransaction
from stepwell.stores.sql.roles.rows import event_of

# What was told before there were entries: one for each run, for the order of their commits is not
# known. To sort them by their times would take a minute where this takes a second.
_HISTORY = (
    "INSERT INTO event_feed (run_key, first, last) "
    "SELECT id, 1, event_seq FROM runs WHERE event_seq > 0 ORDER BY id"
)
# Entries whose events were deleted with their run are passed over.
_PAGE = """
SELECT f.id, r.run_id, e.seq, e.type, e.at, s.step_id, e.attempt, e.worker, e.data
FROM event_feed f {join} events e ON e.run_key = f.run_key AND e.seq BETWEEN f.first AND f.last
JOIN runs r ON r.id = f.run_key LEFT JOIN steps s ON s.id = e.step
WHERE f.id >= :entry AND (f.id > :entry OR e.seq > :seq){seen}
ORDER BY f.id, e.seq LIMIT :most
"""

# The snapshot in which no transaction had ended yet.
_NOTHING = "3:3:"
_SNAPSHOT = re.compile(r"[1-9]\d*:[1-9]\d*:(\d+(,\d+)*)?")


class Place(NamedTuple):
    """How far a reader has come: all entries before this one, and its events up to `seq`.

    Of a batch it is one's place between the two snapshots; with `until` empty the batch is over.
    """

    entry: int = 0
    seq: int = 0
    before: str = ""
    until: str = ""

    def cursor(self) -> str:
        """As readers keep it."""
        return urlsafe_b64encode(to_json(self)).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Place:
        """What was kept. Raises InvalidInput."""
        try:
            kept = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            entry, seq, before, until = from_json(kept)
            if not all(type(number) is int and 0 <= number < 2**63 for number in (entry, seq)):
                raise ValueError
            if not all(text == "" or _SNAPSHOT.fullmatch(text) for text in (before, until)):
                raise ValueError
        except (ValueError, TypeError):
            raise InvalidInput(
                f"cursor: must be one that events_since returned, {BEGINNING!r} or {NOW!r}; "
                f"got {cursor!r}"
            ) from None
        return cls(entry, seq, before, until)


class Entries(Protocol):
    """How a database keeps the entries."""

    def are_kept(self, tx: StoreTransaction) -> bool:
        """Whether a reader has switched them on."""
        ...

    def keep(self, tx: StoreTransaction) -> None:
        """Switch them on, with those of the history. Waits for all who write at the moment."""
        ...

    def start(self, tx: StoreTransaction, cursor: str) -> Place:
        """The place of a cursor. Raises InvalidInput for what is none of this store."""
        ...

    def read(self, tx: StoreTransaction, place: Place, most: int) -> tuple[Sequence[Any], Place]:
        """At most `most` rows after the place, and the place after them; none at the end only."""
        ...

    def version(self) -> str:
        """What is different after each commit of any process."""
        ...


class Feed:
    """The role `ports.Feed`, over the entries of one database."""

    def __init__(self, database: Database) -> None:
        self._db = database
        kind = SnapshotEntries if database.dialect.concurrent else NumberedEntries
        self._entries: Entries = kind(database)

    @reads_stored
    def events_since(self, cursor: str, limit: int) -> EventPage:
        page = self._page(cursor, limit)
        while page is None:
            self._db.write(self._keep, Write.KEEP_FEED)
            page = self._page(cursor, limit)
        return page

    def _page(self, cursor: str, limit: int) -> EventPage | None:
        """A page, or None while no entries are kept."""
        with self._db.read() as tx:
            if not self._entries.are_kept(tx):
                return None
            place = self._entries.start(tx, cursor)
            rows, place = self._entries.read(tx, place, limit)
        return EventPage([event_of(row[1], row[2:]) for row in rows], place.cursor())

    def _keep(self, tx: StoreTransaction) -> None:
        tx.dialect.lock_migrations(tx.cursor)
        if not self._entries.are_kept(tx):  # else another reader came first
            self._entries.keep(tx)

    def version(self) -> str:
        return self._entries.version()


class NumberedEntries:
    """Entries of a database with one writer: their numbers are the order of their commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept = Statement(
            sa.text("SELECT count(*) FROM sqlite_schema WHERE name = 'event_feed'")
        )
        self._last = Statement(sa.text("SELECT coalesce(max(id), 0) FROM event_feed"))
        # CROSS JOIN keeps the order of the tables, and so needs no sorting.
        page = _PAGE.format(join="CROSS JOIN", seen="")
        self._page = Statement(sa.text(page), "entry", "seq", "most")

    def are_kept(self, tx: StoreTransaction) -> bool:
        return bool(self._kept(tx).fetchone()[0])

    def keep(self, tx: StoreTransaction) -> None:
        execute = tx.cursor.execute
        execute(
            "CREATE TABLE event_feed (id INTEGER PRIMARY KEY, run_key INTEGER NOT NULL, "
            "first INTEGER NOT NULL, last INTEGER NOT NULL)"
        )
        execute(_HISTORY)
        for name, when, more, first in (
            ("event_feed_begun", "INSERT", "new.event_seq > 0", "1"),
            (
                "event_feed_more",
                "UPDATE OF event_seq",
                "new.event_seq > old.event_seq",
                "old.event_seq + 1",
            ),
        ):
            execute(
                f"CREATE TRIGGER {name} AFTER {when} ON runs WHEN {more} BEGIN "
                "INSERT INTO event_feed (run_key, first, last) "
                f"VALUES (new.id, {first}, new.event_seq); END"
            )

    def start(self, tx: StoreTransaction, cursor: str) -> Place:
        if cursor == BEGINNING:
            return Place()
        end = self._end(tx)
        if cursor == NOW:
            return end
        place = Place.of(cursor)
        if place.before or place > end:
            raise _of_another_store()
        return place

    def read(self, tx: StoreTransaction, place: Place, most: int) -> tuple[Sequence[Any], Place]:
        rows = self._page(tx, place.entry, place.seq, most).fetchall()
        if len(rows) < most:
            return rows, self._end(tx)
        return rows, Place(rows[-1][0], rows[-1][2])

    def _end(self, tx: StoreTransaction) -> Place:
        return Place(self._last(tx).fetchone()[0] + 1)

    def version(self) -> str:
        # A connection is not told of its own commits, which are those of this process.
        return f"{self._database.version()}.{self._database.transactions}"


class SnapshotEntries:
    """Entries of a database in which transactions commit side by side."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Whether the transactions of entries are known to be those of this server.
        self._are_own = False
        self._newest = Statement(
            sa.text(
                "SELECT xid < pg_snapshot_xmax(pg_current_snapshot()) FROM event_feed "
                "ORDER BY xid DESC LIMIT 1"
            )
        )
        self._state = Statement(
            sa.text(
                "SELECT to_regclass('event_feed') IS NOT NULL, "
                "CAST(pg_current_snapshot() AS text), current_schema(), "
                # To start a process that helps takes longer than to read what is new.
                "set_config('max_parallel_workers_per_gather', '0', true)"
            )
        )
        unseen = "NOT pg_visible_in_snapshot({}xid, CAST(:before AS pg_snapshot))"
        # The sum keeps out the index on the number, whose beginning is the whole past.
        self._first = Statement(
            sa.text(
                "SELECT min(id + 0) FROM event_feed WHERE "
                "xid >= pg_snapshot_xmin(CAST(:before AS pg_snapshot)) AND " + unseen.format("")
            ),
            "before",
        )
        batch = (
            f" AND {unseen.format('f.')} "
            "AND pg_visible_in_snapshot(f.xid, CAST(:until AS pg_snapshot))"
        )
        self._page = Statement(
            sa.text(_PAGE.format(join="JOIN", seen=batch)),
            *("entry", "seq", "before", "until", "most"),
        )

    def are_kept(self, tx: StoreTransaction) -> bool:
        if not self._are_there(tx):
            return False
        if not self._are_own:
            newest = self._newest(tx).fetchone()
            self._are_own = newest is None or newest[0]
        return self._are_own

    def _are_there(self, tx: StoreTransaction) -> bool:
        return bool(self._state(tx).fetchone()[0])

    def keep(self, tx: StoreTransaction) -> None:
        execute = tx.cursor.execute
        if self._are_there(tx):
            # Restored from a dump: they have the transactions of another server, or of none yet.
            execute("UPDATE event_feed SET xid = DEFAULT")
            return
        schema = '"' + self._state(tx).fetchone()[2].replace('"', '""') + '"'
        # All that is committed before is history, and all that comes later finds the triggers.
        execute("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")
        execute(
            "CREATE TABLE event_feed (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            "xid XID8 NOT NULL DEFAULT pg_current_xact_id(), run_key BIGINT NOT NULL, "
            "first BIGINT NOT NULL, last BIGINT NOT NULL)"
        )
        execute("SET LOCAL enable_seqscan = on")  # once, for all of a table
        execute(_HISTORY)
        execute("CREATE INDEX event_feed_by_xid ON event_feed (xid)")
        # With the rights of its owner: not all who write have any on a table that is new.
        execute(
            "CREATE FUNCTION event_feed_add() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = {schema}, pg_temp AS $$ DECLARE before BIGINT := 0; BEGIN "
            "IF TG_OP = 'UPDATE' THEN before := OLD.event_seq; END IF; "
            f"INSERT INTO {schema}.event_feed (run_key, first, last) "
            "VALUES (NEW.id, before + 1, NEW.event_seq); RETURN NULL; END $$"
        )
        for name, when, more in (
            ("event_feed_begun", "INSERT", "NEW.event_seq > 0"),
            ("event_feed_more", "UPDATE OF event_seq", "NEW.event_seq > OLD.event_seq"),
        ):
            execute(
                f"CREATE TRIGGER {name} AFTER {when} ON runs FOR EACH ROW WHEN ({more}) "
                "EXECUTE FUNCTION event_feed_add()"
            )

    def start(self, tx: StoreTransaction, cursor: str) -> Place:
        if cursor == BEGINNING:
            return Place(before=_NOTHING)
        now = self._snapshot(tx)
        place = Place(before=now) if cursor == NOW else Place.of(cursor)
        if not place.before or _next(place.before) > _next(now):
            raise _of_another_store()
        return place

    def read(self, tx: StoreTransaction, place: Place, most: int) -> tuple[Sequence[Any], Place]:
        rows: list[Any] = []
        if place.until:
            rows = self._page(tx, *place, most).fetchall()
        if not rows:  # what was left of a batch is over, and the next one begins
            now = self._snapshot(tx)
            before = place.until or place.before
            first = self._first(tx, before).fetchone()[0]
            place = Place(first or 0, 0, before, now)
            if first is not None:
                rows = self._page(tx, *place, most).fetchall()
        if len(rows) < most:
            return rows, Place(before=place.until)
        return rows, place._replace(entry=rows[-1][0], seq=rows[-1][2])

    def _snapshot(self, tx: StoreTransaction) -> str:
        return str(self._state(tx).fetchone()[1])

    def version(self) -> str:
        return self._database.ask(self._snapshot)


def _of_another_store() -> InvalidInput:
    return InvalidInput("cursor: is of another store, or of this one before it was restored")


def _next(snapshot: str) -> int:
    """The first transaction that had not ended when the snapshot was taken, nor any after it."""
    return int(snapshot.split(":")[1])
