"""Deploys over a live connection. Killed half-way, it connects again and repeats nothing else.

A connection cannot be stored, so `connect` runs in every execution. What was done through it is
recorded: after a crash, `deploy` returns its recorded value, and the work continues after it.
"""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from stepwell import Package, Runtime, StepContext, connect

connector = Package("connector", title="Deployments over a live connection")


class Deployment(BaseModel):
    host: str
    version: str


class Report(BaseModel):
    host: str
    build: int
    healthy: bool


class Connection:
    """A live connection. Its machine is a file, which lists the versions it was told to run."""

    def __init__(self, machine: Path) -> None:
        self._machine = machine
        self._shell = machine.open("a+", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.close()

    def deploy(self, version: str) -> int:
        """Make a new build, as every deployment does; returns its number."""
        self._run(f"./deploy.sh {version}")
        self._shell.seek(0)
        return sum(line.startswith("./deploy.sh") for line in self._shell)

    def is_healthy(self) -> bool:
        return self._run("curl -s localhost/health") == "ok"

    def _run(self, command: str) -> str:
        print(f"{self._machine.name}$ {command}", flush=True)
        self._shell.write(f"{command}\n")
        self._shell.flush()
        return "ok"


class Fleet:
    """The application around the workflow: it can connect to machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def connect(self, host: str) -> Connection:
        return Connection(self.folder / host)


@connector.workflow
def deploy(step: StepContext, wanted: Deployment) -> Report:
    fleet: Fleet = step.app
    with step.do("connect", fleet.connect, wanted.host, checkpoint=False) as connection:
        step.logger.info("connected to %s", wanted.host)
        build = step.do("deploy", connection.deploy, wanted.version)
        healthy = step.do("health-check", connection.is_healthy)
    return Report(host=wanted.host, build=build, healthy=healthy)


class DoomedConnection(Connection):
    """Kills the process, like `kill -9`, right before the check of the machine's health."""

    def is_healthy(self) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return False


class DoomedFleet(Fleet):
    def connect(self, host: str) -> Connection:
        return DoomedConnection(self.folder / host)


def open_store(fleet: Fleet) -> Runtime:
    # Short leases, so that the steps of a killed process are free again soon.
    return connect(
        "sqlite:///connector.db", packages=[connector], app=fleet, settings={"lease": 1.0}
    )


def main() -> None:
    machines = Path("machines")
    with open_store(Fleet(machines)) as runtime:
        run = runtime.start_run(deploy, Deployment(host="web-1", version="1.4"))
        killed = subprocess.run([sys.executable, __file__, "doomed", run.id], check=False)
        recorded = [operation.id for operation in runtime.checkpoint(run.id, "deploy").operations]
        print(f"the first process ended with {killed.returncode}; recorded: {recorded}")
        runtime.drain(run.id, timeout=60)
        print(run.status(), run.result())


def work_until_killed(run_id: str) -> None:
    with open_store(DoomedFleet(Path("machines"))) as runtime:
        runtime.drain(run_id)


if __name__ == "__main__":
    # Show what `step.logger` logs, but leave the worker's own log alone.
    log = logging.getLogger("stepwell.step")
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.setLevel(logging.INFO)
    if sys.argv[1:2] == ["doomed"]:
        work_until_killed(sys.argv[2])
    else:
        main()
