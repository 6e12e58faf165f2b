"""Values that runs publish, and the key-value store that all runs share."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import InvalidInput, LeaseLost, NotFound
from stepwell.testing.builders import new_step, suspended
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    RunStoreCase,
    WallClock,
    check_counts,
)

MINUTE = 60_000_000


class ValueTests(RunStoreCase):
    """`set_value`, `values`, and waits for a value."""

    def test_history_is_numbered_and_in_order(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        bench.store.set_value(a, "color", '"red"', "set_value")
        clock.advance(SECOND)
        bench.store.set_value(b, "color", '"blue"', "set_value")
        bench.store.set_value(a, "size", "1", "set_value#2")

        entries = bench.store.values("r", "color")

        assert [(e.key, e.number, e.value, e.step_id) for e in entries] == [
            ("color", 1, "red", "a"),
            ("color", 2, "blue", "b"),
        ]
        assert entries[1].at == to_datetime(clock.micros())
        assert bench.store.values("r", "color", last=1) == entries[1:]
        assert bench.store.values("r", "nothing") == []
        last = [(e.key, e.number, e.value, e.step_id) for e in bench.store.last_values("r")]
        assert last == [("color", 2, "blue", "b"), ("size", 1, 1, "a")]

    def test_once_for_each_operation(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        first = [bench.store.set_value(step, "k", value, "set_value") for value in ("1", "2")]
        bench.lapse()

        again = bench.store.set_value(bench.claim_one(), "l", "3", "set_value")

        assert [*first, again] == [("k", "1")] * 3
        assert [entry.value for entry in bench.store.values("r", "k")] == [1]

    def test_wakes_who_waits_for_it_in_any_run(self, bench: Bench) -> None:
        bench.create(new_step("setter", kind="set"), new_step("a"))
        bench.create(new_step("b"), id="other")
        setter = bench.claim_one(kinds=["set"])
        bench.settle(*(suspended(step, value=("r", "k")) for step in bench.claim()))

        bench.store.set_value(setter, "k", "1", "set_value")

        assert (bench.statuses()["a"], bench.statuses("other")["b"]) == ("ready", "ready")
        check_counts(bench)
        check_counts(bench, "other")

    def test_other_keys_and_runs_do_not(self, bench: Bench) -> None:
        bench.create(new_step("setter", kind="set"), new_step("a"), new_step("b"))
        setter = bench.claim_one(kinds=["set"])
        a, b = bench.claim()
        bench.settle(suspended(a, value=("r", "other")), suspended(b, value=("r2", "k")))

        bench.store.set_value(setter, "k", "1", "set_value")

        assert {bench.statuses()[id] for id in "ab"} == {"waiting"}

    def test_value_set_before_the_wait_is_not_missed(self, bench: Bench) -> None:
        bench.create(new_step("setter"), new_step("a"))
        setter, a = bench.claim()
        bench.store.set_value(setter, "k", "1", "set_value")

        exchange = bench.exchange(suspended(a, value=("r", "k")))

        assert [step.id for step in exchange.claimed] == ["a"]

    def test_wait_for_a_run_that_does_not_exist_yet(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), value=("later", "k")))
        bench.create(new_step("setter"), id="later")

        bench.store.set_value(bench.claim_one(), "k", "1", "set_value")

        assert bench.statuses() == {"a": "ready"}

    def test_stale_holder_is_refused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one()
        bench.lapse()
        bench.claim_one()

        with pytest.raises(LeaseLost):
            bench.store.set_value(stale, "k", "1", "set_value")

        assert bench.store.values("r", "k") == []

    def test_canceled_step_is_refused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.store.cancel_run("r", OPERATOR)

        with pytest.raises(LeaseLost, match="it was canceled, or its lease lapsed"):
            bench.store.set_value(step, "k", "1", "set_value")

    def test_bad_key_and_unknown_run(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()

        with pytest.raises(InvalidInput, match="key: must have 1 to 200 bytes"):
            bench.store.set_value(step, "", "1", "set_value")
        with pytest.raises(NotFound, match="no run 'x'"):
            bench.store.values("x", "k")

    def test_is_an_event(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.set_value(bench.claim_one(), "k", "1", "op")

        event = bench.store.events("r")[-1]

        assert (event.type, event.step_id) == ("value.set", "a")
        assert dict(event.data) == {"key": "k", "number": 1, "operation": "op"}


class KeyValueTests(RunStoreCase):
    """`kv_get`, `kv_set`, `kv_delete` and `kv_list`."""

    def test_set_and_get(self, bench: Bench, clock: VirtualClock) -> None:
        assert bench.store.kv_get("k") is None

        assert bench.store.kv_set("k", '{"n":1}') == 1
        assert bench.store.kv_set("k", '{"n":2}') == 2

        entry = bench.store.kv_get("k")
        assert entry is not None
        assert (entry.key, entry.value, entry.version) == ("k", {"n": 2}, 2)
        assert (entry.expires_at, entry.updated_at) == (None, to_datetime(clock.micros()))

    def test_compare_and_set(self, bench: Bench) -> None:
        store = bench.store
        assert store.kv_set("k", "1", version=1) is None
        assert store.kv_set("k", "1", version=0) == 1
        assert store.kv_set("k", "2", version=0) is None
        assert store.kv_set("k", "2", version=1) == 2
        assert store.kv_set("k", "3", version=1) is None

        entry = store.kv_get("k")
        assert entry is not None
        assert entry.value == 2

    def test_expires_by_the_clock_of_the_store(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.kv_set("k", "1", expires_in=MINUTE)
        entry = bench.store.kv_get("k")
        assert entry is not None
        assert entry.expires_at == to_datetime(clock.micros()) + timedelta(minutes=1)
        clock.advance(timedelta(minutes=1) - timedelta(microseconds=1))
        assert bench.store.kv_get("k") is not None

        clock.advance(timedelta(microseconds=1))

        assert bench.store.kv_get("k") is None
        assert bench.store.kv_list() == []
        assert bench.store.kv_delete("k") is False
        assert bench.store.kv_set("k", "2", version=1) is None

    def test_removed_is_removed_where_the_clock_goes_back(
        self, bench: Bench, clock: WallClock
    ) -> None:
        bench.store.kv_set("k", "1")
        assert bench.store.kv_delete("k") is True

        clock.set_back(timedelta(minutes=1))

        assert bench.store.kv_get("k") is None
        assert bench.store.kv_list() == []
        assert bench.store.kv_delete("k") is False
        assert bench.store.kv_set("k", "2", version=0) == 3

    def test_what_expired_may_be_set_anew(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.kv_set("k", "1", expires_in=MINUTE)
        clock.advance(timedelta(minutes=1))

        assert bench.store.kv_set("k", "2", version=0) == 2

        entry = bench.store.kv_get("k")
        assert entry is not None
        assert (entry.value, entry.expires_at) == (2, None)

    def test_setting_again_sets_the_expiry_again(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.kv_set("k", "1", expires_in=MINUTE)
        bench.store.kv_set("k", "2")
        clock.advance(timedelta(days=1))

        assert bench.store.kv_get("k") is not None

    def test_delete(self, bench: Bench) -> None:
        bench.store.kv_set("k", "1")

        assert bench.store.kv_delete("k", version=2) is False
        assert bench.store.kv_delete("k", version=1) is True
        assert bench.store.kv_delete("k") is False
        assert bench.store.kv_get("k") is None

    def test_version_of_a_deleted_entry_is_never_given_again(self, bench: Bench) -> None:
        before = bench.store.kv_set("k", "1")
        bench.store.kv_delete("k")

        after = bench.store.kv_set("k", "2", version=0)

        assert before is not None
        assert after is not None
        assert after > before
        assert bench.store.kv_set("k", "3", version=before) is None

    def test_old_remains_are_removed(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.kv_set("k", "1", expires_in=MINUTE)
        clock.advance(timedelta(days=3))
        bench.store.kv_set("other", "1")

        assert bench.store.kv_set("k", "2") == 1

    def test_list_by_prefix_in_pages(self, bench: Bench) -> None:
        for key in ("b/2", "a", "b/10", "B/1", "b", "b/é", "c", "b0"):
            bench.store.kv_set(key, "1")

        def keys(**given: str | int) -> list[str]:
            return [entry.key for entry in bench.store.kv_list(**given)]  # type: ignore[arg-type]  # all three are named

        assert keys() == ["B/1", "a", "b", "b/10", "b/2", "b/é", "b0", "c"]
        assert keys(prefix="b/") == ["b/10", "b/2", "b/é"]
        assert keys(prefix="b/", limit=2) == ["b/10", "b/2"]
        assert keys(prefix="b/", after="b/2") == ["b/é"]
        assert keys(prefix="x") == []

    @pytest.mark.parametrize("prefix", ["퟿", "\U0010ffff", "%", "_"])
    def test_prefix_is_taken_as_it_is(self, bench: Bench, prefix: str) -> None:
        for key in (prefix, prefix + "x", "a", "zz", "\U0010fffe"):
            bench.store.kv_set(key, "1") if key.isprintable() else None

        listed = [entry.key for entry in bench.store.kv_list(prefix)]

        assert listed == [key for key in (prefix, prefix + "x") if key.isprintable()]

    @pytest.mark.parametrize("key", ["", "x" * 1001, "a\0b"])
    def test_bad_key(self, bench: Bench, key: str) -> None:
        with pytest.raises(InvalidInput, match="key: "):
            bench.store.kv_set(key, "1")
