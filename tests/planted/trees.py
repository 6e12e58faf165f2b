"""Copies of the tree in which faults are planted, each with an environment of its own.

The environment shares the installed packages; only Stepwell is imported from the copy, by every
process that is started there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.planted.faults import ROOT, Fault

_KEPT = {".link", ".ci"}
_DROPPED = {"build", "dist", "htmlcov", "requirements"}
# What pytest ends with when a test failed, and when none did; anything else says nothing of them.
RED, GREEN = 1, 0
_STOPPED = 2


def _left_out(_: str, names: list[str]) -> list[str]:
    return [
        name
        for name in names
        if (name.startswith(".") and name not in _KEPT)
        or name in _DROPPED
        or name.endswith(".egg-info")
    ]


class Tree:
    """A copy of the product and its tests in `folder`, which is to be empty."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self._scratch = folder / "scratch"
        self._running: subprocess.Popen[bytes] | None = None
        shutil.copytree(ROOT, self.root, symlinks=True, ignore=_left_out)
        self._make_environment(self.root / ".venv")

    def _make_environment(self, place: Path) -> None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
        shared = Path(sysconfig.get_path("purelib"))
        own = place / shared.relative_to(sys.prefix)
        # A path in a .pth file is added, but the .pth files in it are not read.
        (own / "shared.pth").write_text(f"{shared}\n")
        editable = [*shared.glob("__editable__*stepwell*")]
        if not editable:
            raise FileNotFoundError(f"Stepwell is not installed editable in {shared}: make setup")
        for file in editable:
            (own / file.name).write_text(self._moved(file.read_text()))
        script = Path(sysconfig.get_path("scripts")) / "stepwell"
        if script.is_file():
            copy = place / "bin" / script.name
            copy.write_text(self._moved(script.read_text()))
            copy.chmod(0o755)

    def _moved(self, text: str) -> str:
        return text.replace(str(ROOT), str(self.root))

    @contextmanager
    def planted(self, fault: Fault) -> Iterator[None]:
        """With the fault in it, and afterwards without."""
        changed = fault.changed(self.root)
        sound = {path: (self.root / path).read_text() for path in changed}
        try:
            self._write(changed)
            yield
        finally:
            self._write(sound)

    def _write(self, texts: dict[str, str]) -> None:
        for path, text in texts.items():
            file = self.root / path
            file.write_text(text)
            # It may be as long and as old, in seconds, as the one that was compiled.
            Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)

    def test(
        self, nodes: Sequence[str], *, seconds: float, workers: int = 0, extra: Sequence[str] = ()
    ) -> tuple[int, str]:
        """Run tests up to the first that fails; pytest's exit code, and what it printed.

        Tests that hang are red as well.
        """
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        log = self._scratch / "log"
        spread = ["-n", str(workers), "--dist", "worksteal"] if workers else ["-p", "no:xdist"]
        command = [str(self.root / ".venv/bin/python"), "-m", "pytest", "-x", "-q", *spread]
        command += ["-p", "no:cacheprovider", "--basetemp", str(self._scratch / "base")]
        left_out = ("PYTHONPATH", "PYTEST_", "VIRTUAL_ENV", "COV")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(left_out)
        }
        with log.open("w") as output:
            process = subprocess.Popen(
                [*command, *extra, *nodes],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            self._running = process
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = RED
            finally:
                _end(process)
        told = log.read_text(errors="replace")
        # Side by side, the first failure stops the others.
        return RED if code == _STOPPED and "\nFAILED " in told else code, told

    def stop(self) -> None:
        """End the tests that run, from another thread."""
        if self._running is not None:
            _end(self._running)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
