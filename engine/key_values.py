"""The key-value store that all runs and programs of a store share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from stepwell.engine.clock import duration_micros
from stepwell.engine.duration_checks import check_duration
from stepwell.engine.durations import Duration
from stepwell.engine.errors import Conflict, InvalidInput, shown
from stepwell.engine.ids import check_id
from stepwell.engine.model import KeyValue
from stepwell.engine.payloads.payload import DEFAULT_LIMIT, encode
from stepwell.engine.ports import KeyValues

# The longest time that an entry may be given; practically for ever.
MAX_EXPIRY = timedelta(days=36_600)
MAX_KEY_BYTES = 1_000


class KeyValueStore:
    """JSON values by key. Each call takes effect at once and on its own, also within a step.

    Expired entries do not exist. `store` keeps the values as JSON text.
    """

    def __init__(self, store: KeyValues, limit: int = DEFAULT_LIMIT) -> None:
        self.store = store
        self._limit = limit

    def get(self, key: str, default: Any = None) -> Any:
        """The value as plain JSON values, or `default`."""
        found = self.entry(key)
        return default if found is None else found.value

    def entry(self, key: str) -> KeyValue | None:
        """The value with its version and times, or None."""
        return self.store.kv_get(check_id(key, "kv.key", MAX_KEY_BYTES))

    def set(
        self,
        key: str,
        value: Any,
        *,
        expires_in: Duration | None = None,
        version: int | None = None,
    ) -> int:
        """Store a value; returns its version.

        `expires_in` is a duration. With `version`, it is stored only if the entry has
        that version, or, for 0, if there is no entry; otherwise raises Conflict.
        """
        check_id(key, "kv.key", MAX_KEY_BYTES)
        text = encode(value, f"kv {key!r}", self._limit)
        micros = None
        if expires_in is not None:
            micros = duration_micros(check_duration(expires_in, "kv.expires_in", MAX_EXPIRY))
        _check_version(version)
        stored = self.store.kv_set(key, text, expires_in=micros, version=version)
        if stored is None:
            there = self.store.kv_get(key)
            has = "there is none" if there is None else f"it has version {there.version}"
            raise Conflict(f"kv {key!r}: expected version {version}, but {has}; nothing was stored")
        return stored

    def delete(self, key: str, *, version: int | None = None) -> bool:
        """Remove the entry, if it has `version` where that is given; returns whether it did."""
        _check_version(version)
        return self.store.kv_delete(check_id(key, "kv.key", MAX_KEY_BYTES), version=version)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1_000) -> list[KeyValue]:
        """Entries by key whose keys begin with `prefix` and, if given, come after `after`."""
        for name, text in (("prefix", prefix), ("after", after)):
            if not isinstance(text, str) or not text.isprintable():
                raise InvalidInput(f"kv.{name}: must be printable text, got {shown(text)}")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1_000_000:
            raise InvalidInput(f"limit: must be a whole number from 1 to 1000000, got {limit!r}")
        return self.store.kv_list(prefix, after, limit)


def _check_version(version: object) -> None:
    whole = isinstance(version, int) and not isinstance(version, bool)
    if version is not None and not (whole and 0 <= version < 1 << 63):  # type: ignore[operator]
        raise InvalidInput(f"kv.version: must be a whole number from 0 on, got {shown(version)}")
