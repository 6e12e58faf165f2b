"""Copies of the tree in which faults are planted, each with an environment of its own.

The environment shares the packages that the lock names; only Stepwell is imported from the copy, by
every process that is started there, and what else is installed beside it is not seen.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from importlib.metadata import PathDistribution
from pathlib import Path

from tests.planted.faults import ROOT, Fault

_KEPT = {".link", ".ci"}
_DROPPED = {"build", "dist", "htmlcov", "requirements"}
_LOCK = ROOT / "requirements" / "dev.txt"
_PINNED = re.compile(r"^([\w.-]+)==", re.MULTILINE)
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


def locked(lock: Path = _LOCK) -> set[str]:
    """The distributions that a tree may see: Stepwell, and what its lock names."""
    return {"stepwell", *map(_plain, _PINNED.findall(lock.read_text()))}


def shared_entries(shared: Path, known: Set[str]) -> Iterator[Path]:
    """What of an environment's packages a tree's own has, too.

    Not the others' metadata, which announce plugins and packages; nor what leads to other folders.
    """
    for entry in sorted(shared.iterdir()):
        if entry.suffix == ".dist-info":
            if _plain(PathDistribution(entry).metadata["Name"]) in known:
                yield entry
        elif entry.suffix not in (".pth", ".egg-info", ".egg-link") and not entry.name.startswith(
            "__editable__"
        ):
            yield entry


def _plain(name: str) -> str:
    """A distribution's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
        for entry in shared_entries(shared, locked()):
            (own / entry.name).symlink_to(entry)
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
