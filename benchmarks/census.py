"""The code census of a folder: as a run on the process pool, by a plain map, and on one core."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

from benchmarks.place import running
from benchmarks.report import ROOT
from stepwell import Permanent, RunStatus, Settings

# The sample is installed only for `make demo`.
sys.path.insert(0, str(ROOT / "samples" / "code_census"))

from code_census import census, tree  # found by the line above
from code_census.model import SourceFile
from code_census.steps import file_metrics

LONGEST = 1_200.0


def standard_library() -> str:
    """The folder that is counted by default."""
    return tree.default_folder()


def ours(place: str, folder: str, limit: int | None, processes: int) -> dict[str, float]:
    """A run of the sample: scans, a step for each file on the process pool, tally and report."""
    settings = Settings(processes=processes)
    with running(place, census, settings) as (runtime, _):
        begun = time.perf_counter()
        run = runtime.start_run("code_census", {"folder": folder, "limit": limit})
        runtime.drain(run.id, LONGEST)
        seconds = time.perf_counter() - begun
        ended = runtime.run(run.id)
        if ended.status is not RunStatus.SUCCEEDED:
            raise RuntimeError(f"the census ended {ended.status}")
        files = runtime.result(run.id, "report").value
    return {"work": seconds, "files": files["files"] + files["failures"]}


def one_core(folder: str, limit: int | None) -> dict[str, float]:
    """The same function over the same files in a loop."""
    begun = time.perf_counter()
    for path in found(folder, limit):
        count((folder, path))
    return {"work": time.perf_counter() - begun}


def mapped(folder: str, limit: int | None, processes: int) -> dict[str, float]:
    """The same function over the same files by `multiprocessing.Pool.map`, started fresh."""
    begun = time.perf_counter()
    with multiprocessing.get_context("forkserver").Pool(processes) as pool:
        files = [(folder, path) for path in found(folder, limit)]
        pool.map(count, files, chunksize=1)
    return {"work": time.perf_counter() - begun}


def count(file: tuple[str, str]) -> bool:
    """Measure one file; whether it could be."""
    root, path = file
    try:
        file_metrics(SourceFile(root=root, path=path))
    except Permanent:
        return False
    return True


def found(folder: str, limit: int | None) -> list[str]:
    """The files of a census, in the order of their paths."""

    def below(path: str) -> list[str]:
        listing = tree.list_folder(Path(folder, path), path, "*.py")
        files = [tree.join(path, name) for name in listing.files]
        for name in listing.folders:
            files += below(tree.join(path, name))
        return files

    return below("")[:limit]
