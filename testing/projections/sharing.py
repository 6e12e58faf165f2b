"""Projections that outlive their store, and that other processes can reach."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from stepwell.engine.ports import Projection, ProjectionStore, Transaction
from stepwell.testing.projections.case import OpenStore, ProjectionCase, sell, total

PROCESSES = 4
KEYS = 25
THREADS = 8
PATIENCE = 60


def in_process(store: ProjectionStore, work: Callable[..., None], count: int) -> list[int | None]:
    """Run `work(store)` in processes that share nothing with this one; their exit codes."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=work, args=(store,)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def count(transaction: Transaction, key: int) -> None:
    """Insert a key with the id of this process."""
    transaction.execute("CREATE TABLE IF NOT EXISTS counted (key INTEGER, pid INTEGER)")
    transaction.execute("INSERT INTO counted VALUES (?, ?)", (key, os.getpid()))


def apply_all_keys(store: ProjectionStore) -> None:
    """The work of each of many processes."""
    with closing(store):
        for key in range(KEYS):
            store.projection("counter").once(f"key {key}", partial(count, key=key))


def die_inside_once(store: ProjectionStore) -> None:
    """Sell a pen, and be killed before ink is sold as well."""

    def apply(transaction: Transaction) -> None:
        sell(transaction, "ink", 2)
        os.kill(os.getpid(), signal.SIGKILL)

    sell(store.projection("sales"), "pen", 1)
    store.projection("sales").once("key", apply)


class SharedTests(ProjectionCase):
    """What other stores, threads and processes see of a projection."""

    def test_another_store_sees_what_was_committed(
        self, sales: Projection, open_store: OpenStore
    ) -> None:
        sales.once("key", sell)

        with closing(open_store()) as other:
            assert total(other.projection("sales")) == 300
            assert not other.projection("sales").once("key", sell)

    def test_many_processes_apply_each_key_once(self, store: ProjectionStore) -> None:
        exits = in_process(store, apply_all_keys, PROCESSES)

        rows = store.projection("counter").query("SELECT key FROM counted ORDER BY key")
        assert exits == [0] * PROCESSES
        assert [row["key"] for row in rows] == list(range(KEYS))

    def test_what_a_killed_process_had_not_committed_is_gone(
        self, store: ProjectionStore, sales: Projection
    ) -> None:
        assert in_process(store, die_inside_once, 1) == [-signal.SIGKILL]

        assert total(sales) == 1
        assert sales.once("key", lambda transaction: sell(transaction, "ink", 2))

    def test_a_reader_does_not_wait_for_a_writer(self, sales: Projection) -> None:
        writing, read = threading.Event(), threading.Event()

        def apply(transaction: Transaction) -> None:
            sell(transaction)
            writing.set()
            assert read.wait(PATIENCE)

        with ThreadPoolExecutor(THREADS) as threads:
            done = threads.submit(sales.once, "key", apply)
            assert writing.wait(PATIENCE)
            # Writers that wait for their turn do not block readers.
            waiting = [threads.submit(sell, sales, str(n), 1) for n in range(THREADS - 1)]
            before = total(sales)
            read.set()
            assert done.result()
            assert [future.result() for future in waiting] == [1] * (THREADS - 1)

        assert before == 0
        assert total(sales) == 300 + THREADS - 1

    def test_close_does_not_wait_and_lets_a_transaction_end(
        self, store: ProjectionStore, sales: Projection, open_store: OpenStore
    ) -> None:
        def apply(transaction: Transaction) -> None:
            store.close()
            sell(transaction)

        assert sales.once("key", apply)

        with closing(open_store()) as other:
            assert total(other.projection("sales")) == 300
