"""A program that connects, forks, and goes on on both sides: `program.py SCENARIO STORE`.

It ends with 0 when all that was acknowledged is there and nothing was harmed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from stepwell import Package, Runtime, StepContext, connect
from stepwell.engine import forks
from stepwell.engine.checkpoints.checkpoint import Checkpoint
from stepwell.engine.errors import RefusedByState, StoreError
from stepwell.engine.ports import Transaction

# From 3.12 on, Python warns of what this program is about.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

RUNS = 25
PATIENCE = 40.0

sample = Package("sample")


@sample.workflow
def grind(step: StepContext, number: int) -> int:
    return number + 1


@sample.workflow
def call_the_handler(step: StepContext, seconds: float) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    threading.Event().wait(seconds)


@sample.workflow(pool="process")
def grind_apart(step: StepContext, number: int) -> int:
    return os.getpid()


@sample.workflow(pool="process")
def grind_until(step: StepContext, path: str) -> str:
    """Ends when there is something at `path`."""
    while not Path(path).exists():
        threading.Event().wait(0.01)
    return path


def open_store(store: str, **settings: object) -> Runtime:
    return connect(store, packages=[sample], settings={"lease": 30, **settings})


class Signal:
    """What one process tells another: `come()` here, `wait()` there."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def come(self) -> None:
        os.write(self._writing, b"!")

    def wait(self) -> None:
        assert os.read(self._reading, 1)


def start(runtime: Runtime, who: str, count: int = RUNS) -> None:
    for number in range(count):
        runtime.start_run(grind, number, run_id=f"{who}-{number}")


def fork(work: Callable[[], object], *, tidy: bool = False) -> int:
    """Run `work` in a child; returns its process. Unless `tidy` it ends as if it were killed."""
    child = os.fork()
    if child:
        return child
    signal.alarm(int(PATIENCE))  # a child that hangs is killed, and so told
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    if not tidy:
        os._exit(0)
    sys.exit(0)


def ended(*children: int) -> None:
    for child in children:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code == 0, f"child {child} ended with {code}"


def backend(runtime: Runtime) -> int | None:
    """The process of the server that serves the writer; None without a server."""
    database: Any = runtime.internals.store
    info = getattr(database.database._writer, "info", None)
    return None if info is None else int(info.backend_pid)


def check(store: str, **expected: int) -> None:
    """All runs that were acknowledged are there, and what is stored holds."""
    with open_store(store) as runtime:
        found = {run.id for run in runtime.runs(limit=100_000)}
        for who, count in expected.items():
            missing = [n for n in range(count) if f"{who}-{n}" not in found]
            assert not missing, f"{len(missing)} of {count} acknowledged runs of {who} are lost"
        assert runtime.verify().ok
        runtime.drain(timeout=PATIENCE)


# --- who forks ----------------------------------------------------------------------------------


def parent_closes(store: str) -> None:
    first, closed = Signal(), Signal()

    def child() -> None:
        start(runtime, "early")
        first.come()
        closed.wait()
        start(runtime, "late")

    with open_store(store) as runtime:
        start(runtime, "before")
        process = fork(child)
        first.wait()
    closed.come()
    ended(process)
    check(store, before=RUNS, early=RUNS, late=RUNS)


def child_closes(store: str) -> None:
    with open_store(store) as runtime:
        start(runtime, "before")

        served_by = backend(runtime)

        def child() -> None:
            start(runtime, "child")
            runtime.close()

        ended(fork(child))
        start(runtime, "after")
        assert backend(runtime) == served_by, "the child closed its parent's connection"
    check(store, before=RUNS, child=RUNS, after=RUNS)


def parent_dies(store: str) -> None:
    first, died, done = Signal(), Signal(), Signal()

    def parent() -> None:
        runtime = open_store(store)
        start(runtime, "before")

        def child() -> None:
            start(runtime, "early")
            first.come()
            died.wait()
            start(runtime, "late")
            done.come()

        fork(child)
        first.wait()
        os.kill(os.getpid(), signal.SIGKILL)

    process = fork(parent)
    os.waitpid(process, 0)
    died.come()
    done.wait()
    check(store, before=RUNS, early=RUNS, late=RUNS)


def grandchild(store: str) -> None:
    with open_store(store) as runtime:
        start(runtime, "before")

        def child() -> None:
            start(runtime, "child")

            def its_child() -> None:
                start(runtime, "grandchild")

            process = fork(its_child)
            runtime.close()
            ended(process)

        process = fork(child)
        start(runtime, "parent")
        ended(process)
        start(runtime, "after")
    check(store, before=RUNS, child=RUNS, grandchild=RUNS, parent=RUNS, after=RUNS)


def many_children(store: str) -> None:
    """As gunicorn does with --preload."""
    with open_store(store) as runtime:
        children = [fork(partial(start, runtime, f"c{i}", 100)) for i in range(4)]
        ended(*children)
    check(store, **{f"c{i}": 100 for i in range(4)})


def busy_parent(store: str) -> None:
    """A worker and threads that start runs go on in the parent, while it forks again and again."""
    stop = threading.Event()
    counts: dict[str, int] = {}

    def work(who: str) -> None:
        counts[who] = 0
        while not stop.is_set():
            runtime.start_run(grind, 1, run_id=f"{who}-{counts[who]}")
            counts[who] += 1
            runtime.runs(limit=5)

    with open_store(store) as runtime, runtime.worker():
        threads = [threading.Thread(target=work, args=(f"thread{i}",)) for i in range(2)]
        for thread in threads:
            thread.start()
        children = [fork(partial(start, runtime, f"child{i}", 10)) for i in range(8)]
        ended(*children)
        stop.set()
        for thread in threads:
            thread.join()
        handle = runtime.start_run(grind, 41)
        assert handle.result(timeout=PATIENCE) == 42
    check(store, **counts, **{f"child{i}": 10 for i in range(8)})


def inherited_worker(store: str) -> None:
    """The parent's worker works for both, is stopped by neither, and the child has its own."""
    with open_store(store) as runtime:
        with runtime.worker():

            def child() -> None:
                assert runtime.start_run(grind, 1).result(timeout=PATIENCE) == 2
                assert runtime.stop_workers() == 0
                with runtime.worker():
                    assert runtime.start_run(grind, 2).result(timeout=PATIENCE) == 3

            ended(fork(child, tidy=True))
            assert runtime.start_run(grind, 3).result(timeout=PATIENCE) == 4
        process = None
        with runtime.worker():
            process = os.fork()
        if process == 0:  # it left the block, too, and neither waits for a thread nor stops one
            sys.exit(0)
        ended(process)
    check(store)


def by_multiprocessing(store: str) -> None:
    with open_store(store) as runtime:
        context = multiprocessing.get_context("fork")
        children = [
            context.Process(target=start, args=(runtime, f"c{i}"), daemon=True) for i in range(3)
        ]
        for process in children:
            process.start()
        for process in children:
            process.join(PATIENCE)
            assert process.exitcode == 0, process
        start(runtime, "after")
    check(store, **{f"c{i}": RUNS for i in range(3)}, after=RUNS)


def start_in_preloaded(who: str) -> None:
    from tests.trust.forks import preloaded

    start(preloaded.runtime, who)


def by_forkserver(store: str) -> None:
    """The server of forks has the runtime, and all of its children inherit it."""
    os.environ["PRELOADED_STORE"] = store
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.trust.forks.preloaded"])
    children = [context.Process(target=start_in_preloaded, args=(f"c{i}",)) for i in range(3)]
    for process in children:
        process.start()
    for process in children:
        process.join(PATIENCE)
        assert process.exitcode == 0, process
    check(store, **{f"c{i}": RUNS for i in range(3)})


# --- what else is inherited ---------------------------------------------------------------------


def process_pool(store: str) -> None:
    """A child that ends leaves the parent's processes alone, and can have its own."""
    with open_store(store, processes=1, kill_grace=1) as runtime, runtime.worker():
        own = runtime.start_run(grind_apart, 0).result(timeout=PATIENCE)

        def child() -> None:
            runtime.close()

        def child_with_worker() -> None:
            with runtime.worker():
                handle = runtime.start_run(grind_apart, 0)
                handle.result(timeout=PATIENCE)

        path = f"{os.getcwd()}/ready"
        handle = runtime.start_run(grind_until, path)
        ended(fork(child, tidy=True))
        Path(path).touch()
        assert handle.result(timeout=PATIENCE) == path
        ended(fork(child_with_worker, tidy=True))
        assert runtime.start_run(grind_apart, 0).result(timeout=PATIENCE) == own
    check(store)


def projections(store: str) -> None:
    with open_store(store) as runtime:
        sales = runtime.projection(f"sales-{os.getpid()}")  # a server's stays there
        sales.execute("CREATE TABLE sale (id TEXT, cents BIGINT)")

        def child() -> None:
            for number in range(RUNS):
                sales.once(
                    f"child{number}", lambda tx: tx.execute("INSERT INTO sale VALUES ('a', 1)")
                )
            runtime.close()

        process = fork(child)
        for number in range(RUNS):
            sales.once(f"parent{number}", lambda tx: tx.execute("INSERT INTO sale VALUES ('b', 1)"))
        ended(process)
        assert sales.query("SELECT count(*) AS n FROM sale") == [{"n": 2 * RUNS}]


def elsewhere(store: str) -> None:
    """A daemon goes to another folder: what is opened again is the same file."""
    with open_store(store) as runtime:

        def child() -> None:
            os.chdir("/")
            start(runtime, "child")

        ended(fork(child))
    check(store, child=RUNS)


# --- what is refused ----------------------------------------------------------------------------


def inside_a_transaction(store: str) -> None:
    """The child is refused at once; the parent's transaction, and what comes after, are stored."""
    with open_store(store) as runtime:
        start(runtime, "before")
        checkpoints: Any = runtime.internals.store.checkpointer()
        checkpoints.save_checkpoint(Checkpoint(id="c1", execution_id="e1"))
        children: list[int] = []

        def change(checkpoint: Checkpoint) -> None:
            child = os.fork()
            if child == 0:
                signal.alarm(int(PATIENCE))
            children.append(child)
            checkpoint.variables["seen"] = True

        try:
            checkpoints.atomic_update("e1", change)
        except StoreError as error:
            said = str(error)
        else:
            said = ""
        if children == [0]:
            assert "forked" in said, said
            if store.startswith("sqlite"):
                refused(lambda: runtime.start_run(grind, 1))
                refused(runtime.runs)
                refused(lambda: open_store(store))
            else:
                start(runtime, "child")
            sys.exit(0)
        ended(*children)
        assert checkpoints.load_checkpoint("e1").variables == {"seen": True}
        start(runtime, "after")
    check(store, before=RUNS, after=RUNS)


def beside_a_long_transaction(store: str) -> None:
    """A thread that does not come out in time does not hold up the fork; its file is refused."""
    forks.PATIENCE = 0.2
    inside, leave = threading.Event(), threading.Event()

    def apply(tx: Transaction) -> None:
        tx.execute("INSERT INTO sale VALUES ('a', 1)")
        inside.set()
        leave.wait()

    with open_store(store) as runtime:
        sales = runtime.projection(f"sales-{os.getpid()}")  # a server's stays there
        sales.execute("CREATE TABLE sale (id TEXT, cents BIGINT)")
        thread = threading.Thread(target=sales.once, args=("key", apply))
        thread.start()
        inside.wait()

        def child() -> None:
            if store.startswith("sqlite"):
                refused(lambda: sales.query("SELECT 1 AS one"))
                refused(lambda: sales.once("key", apply))
            else:
                sales.query("SELECT 1 AS one")
            start(runtime, "child")

        ended(fork(child))
        leave.set()
        thread.join()
        assert sales.query("SELECT count(*) AS n FROM sale") == [{"n": 1}]
    check(store, child=RUNS)


def out_of_a_handler(store: str) -> None:
    """A signal's handler forks while the parent works; the child does not go on with that."""
    children: list[int] = []

    def handler(*_: object) -> None:
        children.append(os.fork())
        if children == [0]:
            signal.alarm(int(PATIENCE))

    signal.signal(signal.SIGUSR1, handler)
    with open_store(store) as runtime:
        start(runtime, "before")
        caller = runtime.start_run(call_the_handler, 0.5)
        try:
            runtime.drain(caller.id, timeout=PATIENCE)
        except (RefusedByState, StoreError):
            if children != [0]:
                raise
            sys.exit(0)
        assert len(children) == 1
        assert children[0]
        ended(*children)
        assert caller.status() == "succeeded"
    check(store, before=RUNS)


def in_memory(_: str) -> None:
    with open_store("memory://") as runtime:
        start(runtime, "before")

        def child() -> None:
            refused(lambda: runtime.start_run(grind, 1))
            refused(runtime.runs)
            refused(lambda: runtime.projection("sales").query("SELECT 1 AS one"))
            refused(lambda: runtime.internals.parts.artifacts.put(b"bytes"))
            with open_store("memory://") as own:
                start(own, "own")

        ended(fork(child))
        start(runtime, "after")
        runtime.drain(timeout=PATIENCE)


def refused(act: Callable[[], object]) -> None:
    try:
        act()
    except StoreError as error:
        said = str(error)
    else:
        said = "it was not refused"
    assert "fork" in said, said


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        *(parent_closes, child_closes, parent_dies, grandchild, many_children, busy_parent),
        *(inherited_worker, by_multiprocessing, by_forkserver, process_pool, projections),
        *(elsewhere, inside_a_transaction, beside_a_long_transaction, out_of_a_handler, in_memory),
    )
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](sys.argv[2])
