"""The connector, killed with `kill -9` between two recorded operations, and resumed."""

import signal
import subprocess
import sys
from pathlib import Path

from samples.connector.connector import Connection, Deployment, Fleet, Report, connector, deploy
from stepwell import connect

ROOT = Path(__file__).parents[2]
LEASE = {"lease": 1.0}
WANTED = Deployment(host="web-1", version="1.4")

# A worker whose machine never answers the health check; it says so, and waits to be killed.
STUCK_WORKER = """
import sys
from pathlib import Path
from samples.connector.connector import Connection, Fleet, connector
from stepwell import connect

class Silent(Connection):
    def is_healthy(self):
        print("checking", flush=True)
        return bool(sys.stdin.readline())

class SilentFleet(Fleet):
    def connect(self, host):
        return Silent(self.folder / host)

with connect(
    sys.argv[1], packages=[connector], app=SilentFleet(Path("machines")), settings={"lease": 1.0}
) as runtime:
    runtime.drain("r")
"""


class CountingFleet(Fleet):
    """Keeps the connections it made."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.made: list[Connection] = []

    def connect(self, host: str) -> Connection:
        self.made.append(super().connect(host))
        return self.made[-1]


def told(folder: Path) -> list[str]:
    return (folder / "web-1").read_text("utf-8").splitlines()


def test_undisturbed_it_connects_once(tmp_path: Path) -> None:
    fleet = CountingFleet(tmp_path)
    with connect("memory://", packages=[connector], app=fleet) as runtime:
        run = runtime.start_run(deploy, WANTED)
        runtime.drain(run.id, timeout=60)

        assert run.result() == Report(host="web-1", build=1, healthy=True)
        assert [op.id for op in runtime.checkpoint(run.id, "deploy").operations] == [
            "deploy",
            "health-check",
        ]
    assert len(fleet.made) == 1
    assert told(tmp_path) == ["./deploy.sh 1.4", "curl -s localhost/health"]


def test_killed_between_the_two_it_connects_again_and_deploys_no_second_time(
    tmp_path: Path,
) -> None:
    url, machines = f"sqlite:///{tmp_path / 'connector.db'}", tmp_path / "machines"
    script = tmp_path / "stuck.py"
    script.write_text(STUCK_WORKER)
    fleet = CountingFleet(machines)
    with connect(url, packages=[connector], app=fleet, settings=LEASE) as runtime:
        run = runtime.start_run(deploy, WANTED, run_id="r")
        with subprocess.Popen(
            [sys.executable, script, url],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as first:
            assert first.stdout is not None
            for line in first.stdout:
                if line == "checking\n":
                    break
            first.kill()
        assert first.returncode == -signal.SIGKILL
        assert [op.id for op in runtime.checkpoint("r", "deploy").operations] == ["deploy"]
        assert told(machines) == ["./deploy.sh 1.4"]

        runtime.drain("r", timeout=60)

        assert run.result() == Report(host="web-1", build=1, healthy=True)
        assert runtime.step("r", "deploy").attempt == 2
    assert len(fleet.made) == 1
    assert told(machines) == ["./deploy.sh 1.4", "curl -s localhost/health"]


def test_the_program_kills_its_own_worker_and_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "samples/connector/connector.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    lines = done.stdout.splitlines()
    assert "the first process ended with -9; recorded: ['deploy']" in lines
    assert lines[-1] == "succeeded host='web-1' build=1 healthy=True"
    assert sum(line.endswith("connected to web-1") for line in lines) == 2
    assert lines.count("web-1$ ./deploy.sh 1.4") == 1
    assert "Traceback" not in done.stderr
