"""`python -m code_census`: what the last census found, in a few lines, and where to read on."""

import argparse
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from code_census.model import Summary
from code_census.readmodel import Census, read
from code_census.steps import PROJECTION, REPORT, census
from code_census.tree import printable
from stepwell import NotFound, Run, Runtime, StepwellError, connect

SLOWEST = 5
FAILURES = 20
NOT_DONE = 1


def main(arguments: list[str] | None = None) -> int:
    """Print the summary; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m code_census", description=__doc__)
    parser.add_argument("command", nargs="?", default="summary", choices=["summary"])
    parser.add_argument("--home", default=".stepwell", help="the folder that the run is in")
    parser.add_argument("--store", help="the URL of the store; default: engine.db in that folder")
    parser.add_argument("--run", help="the id of a run; default: the last one")
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files can be in any script
    try:
        return _summary(Path(given.home), given.store, given.run)
    except StepwellError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return NOT_DONE


def _summary(home: Path, store: str | None, run_id: str | None) -> int:
    place = f"--home {home}" + ("" if store is None else " --store URL")
    if store is None and not (home / "engine.db").is_file():
        raise NotFound(f"there is no census in {home}; {_how_to_run(place)}")
    with connect(store, home=home, packages=[census]) as runtime:
        run = _find(runtime, home, place, run_id)
        if run.status != "succeeded":
            print(_unfinished(run, place))
            return NOT_DONE
        page = home / f"{PROJECTION}.html"
        (artifact,) = (each for each in runtime.artifacts(run.id) if each.name == REPORT)
        with runtime.open_artifact(artifact.id) as stream:
            page.write_bytes(stream.read())
        found = read(runtime.projection(PROJECTION), run.id)
        summary = Summary.model_validate(runtime.result(run.id, "report").value)
        for line in (*_numbers(run, summary, found), *_files(found), *_failures(found)):
            print(line)
    print()
    print(f"Report               {page}")
    if store is None:
        print(f"Engine database      {home / 'engine.db'}")
        print(f"Projection database  {home / 'projections' / f'{PROJECTION}.db'}")
    return 0


def _find(runtime: Runtime, home: Path, place: str, run_id: str | None) -> Run:
    if run_id is not None:
        run = runtime.run(run_id)
        if run.package != census.name:
            raise NotFound(f"run {run_id!r} is of package {run.package!r}, not a census")
        return run
    runs = runtime.runs(package=census.name, limit=1)
    if not runs:
        raise NotFound(f"there is no census in {home}; {_how_to_run(place)}")
    return runs[0]


def _unfinished(run: Run, place: str) -> str:
    state = f"run {run.id} is {run.status}"
    if run.status.ended:
        return f"{state}; see what happened: stepwell {place} show {run.id}"
    return (
        f"{state}: {run.open_steps} of its {run.total_steps} steps are open\n"
        f"go on with: stepwell {place} run --resume {run.id}"
    )


def _how_to_run(place: str) -> str:
    return f"run one with: stepwell {place} run {census.name}"


def _numbers(run: Run, summary: Summary, found: Census) -> Iterator[str]:
    yield f"Census of {printable(summary.folder)}"
    yield (
        f"{found.files:,} files, {found.lines:,} lines ({found.code:,} of code, "
        f"{found.notes:,} of comments and docstrings),"
    )
    yield f"{found.functions:,} functions and {found.classes:,} classes."
    if run.started_at and run.ended_at:
        seconds = (run.ended_at - run.started_at).total_seconds()
        yield (
            f"{run.total_steps:,} steps in {seconds:.1f} s, {run.total_steps / seconds:,.0f} "
            f"a second; {found.seconds:.1f} s of work in file steps."
        )


def _files(found: Census) -> Iterator[str]:
    yield ""
    yield "Slowest files"
    for file in found.slowest[:SLOWEST]:
        yield f"{file.seconds:8.3f} s {file.lines:8,} lines  {printable(file.path)}"


def _failures(found: Census) -> Iterator[str]:
    yield ""
    if not found.failures:
        yield "Every file was counted."
        return
    yield f"Not counted: {len(found.failures)}"
    for failure in found.failures[:FAILURES]:
        yield f"  {printable(failure.path)}"
        yield f"    {failure.code}: {printable(failure.message)}"
    if len(found.failures) > FAILURES:
        yield f"  and {len(found.failures) - FAILURES} more; the report lists all of them"


if __name__ == "__main__":
    sys.exit(main())
