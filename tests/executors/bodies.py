"""Executors for the process pool: at the top level of a module, where a child can find them."""

import ctypes
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stepwell.engine.errors import Permanent, Suspend
from stepwell.engine.exchange import Wait
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext

pack = Package("pack")


class Order(BaseModel):
    item: str
    count: int = 1


@pack.entrypoint
def main(run: RunBuilder) -> None:
    run.step("test.pid")


@pack.executor("test.pid", pool="process")
def pid() -> int:
    return os.getpid()


@pack.executor("test.coroutine", pool="process")
async def coroutine(order: Order) -> str:
    return order.item


@pack.executor("test.exit", pool="process", retry=Retry(max_attempts=3))
def exit_at_once() -> None:
    os._exit(3)


@pack.executor("test.crash", pool="process")
def crash() -> None:
    ctypes.string_at(0)


@pack.executor("test.raise", pool="process")
def raise_it(name: str) -> None:
    if name == "Permanent":
        raise Permanent("no_way", "never", details={"why": "so"})
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[name]


@pack.executor("test.everything", pool="process")
def everything(step: StepContext, order: Order) -> dict[str, Any]:
    step.record("orders", order.item, {"count": order.count})
    step.artifact("raw", b"\xff\x00raw")
    step.artifact("note", "text")
    first = step.emit("test.coroutine", Order(item="ink"), id="first")
    step.emit("test.pid", after=[first])
    return {
        "dependencies": step.dependencies(),
        "status": step.internals.run_status("other"),
        "result": step.dependency_result("before").value,
        "key": step.idempotency_key,
    }


@pack.executor("test.bad_emit", pool="process")
def bad_emit(step: StepContext) -> None:
    step.emit("test.coroutine", {"count": "many"})


@pack.executor("test.large", pool="process")
def large(step: StepContext) -> None:
    step.store_artifact("large", b"x")


@pack.executor("test.suspend", pool="process")
def suspend(step: StepContext) -> None:
    child = step.internals.child_run("pack", {"n": 1})
    raise Suspend(Wait(run_id=child.id, start=child))


def tell(path: str, text: str) -> None:
    """Write a line to a FIFO or file that the test reads."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text + "\n")


@pack.executor("test.signal", pool="process")
def signal_to_itself(number: int) -> int:
    os.kill(os.getpid(), number)
    return os.getpid()


@pack.executor("test.wait", pool="process")
def wait_for_cancel(step: StepContext, path: str) -> str:
    canceled = threading.Event()
    step.on_cancel(canceled.set)
    tell(path, str(os.getpid()))
    canceled.wait()
    return f"canceled={step.cancelled}"


@pack.executor("test.unwind", pool="process")
def unwind_on_sigterm(path: str) -> None:
    tell(path, str(os.getpid()))
    try:
        threading.Event().wait()
    finally:
        tell(path, "unwound")


@pack.executor("test.stubborn", pool="process")
def ignore_everything(path: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tell(path, f"{os.getpid()} {grandchild.pid}")
    while True:
        try:
            time.sleep(600)
        except BaseException:
            continue


@pack.executor("test.hold", pool="process")
def hold_the_interpreter(path: str) -> None:
    """No other thread of the child runs any more: it cannot notice that its parent is gone."""
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tell(path, f"{os.getpid()} {grandchild.pid}")
    re.match(r"(a|a?)+$", "a" * 64 + "b")


@pack.executor("test.fork", pool="process")
def return_twice(path: str) -> str:
    """The fork waits for its parent's next step, and returns while that one runs."""
    if os.fork() == 0:
        Path(path).read_text(encoding="utf-8")
        return "fork"
    return "child"


@pack.executor("test.meet_fork", pool="process")
def let_fork_return(path: str) -> str:
    """Let the fork of the step before return, and stay until it is gone."""
    tell(path, "go on")
    os.waitpid(-1, 0)
    return "next"


@pack.executor("test.fork_asks", pool="process")
def ask_from_fork(step: StepContext, path: str) -> None:
    if os.fork() == 0:
        try:
            step.internals.run_status("other")
        except Exception as error:
            tell(path, str(error))
    os.waitpid(-1, 0)


@pack.executor("test.leave_behind", pool="process")
def leave_a_process_behind() -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


@pack.executor("test.write_everywhere", pool="process")
def write_everywhere(text_and_path: list[str]) -> None:
    """Write to every socket there is, say so, and stay."""
    text, path = text_and_path
    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, bytes.fromhex(text))
        except OSError:
            continue
    tell(path, "written")
    threading.Event().wait()


KEPT: list[bytes] = []


@pack.executor("test.take", pool="process")
def take(megabytes: int) -> int:
    """Take memory in pieces, and keep it."""
    for _ in range(megabytes):
        KEPT.append(b"x" * (1 << 20))
    return os.getpid()


@pack.executor("test.close_everything", pool="process")
def close_everything() -> None:
    os.closerange(3, 1000)


@pack.executor("test.speak_late", pool="process")
def speak_when_idle(path: str) -> str:
    """Leave a thread that writes to the connection once the step is over."""

    def late() -> None:
        Path(path).read_text(encoding="utf-8")
        for number in range(3, 64):
            try:
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.write(number, b"late")
            except OSError:
                continue
        tell(path + ".done", "spoken")

    threading.Thread(target=late, daemon=True).start()
    return str(os.getpid())
