"""The package: an entrypoint and four kinds of steps.

::

    scan:  ──emits──▶ scan:json ──emits──▶ file:json/decoder.py, …
       │   ──emits──▶ file:ast.py, …
       ╰── after the scan and all that it emitted ──▶ tally ──▶ report
"""

import time
import tokenize
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path

from code_census import readmodel, report, tree
from code_census.metrics import measure
from code_census.model import (
    CensusInput,
    FileFailure,
    FileMetrics,
    Folder,
    FolderScan,
    PackageTotals,
    SourceFile,
    Summary,
    Tally,
)
from stepwell import (
    Dependency,
    InvalidInput,
    Package,
    Permanent,
    Retry,
    RunBuilder,
    StepContext,
)

census = Package("code_census", title="Code census")

SCAN, FILE = "scan", "file"
PROJECTION = "code_census"
REPORT = "report.html"


@census.executor("census.scan")
def scan(step: StepContext, folder: Folder) -> FolderScan:
    """Emit a step for every file in the folder, and a scan for each folder in it."""
    here = Path(folder.root, folder.path)
    try:
        listing = tree.list_folder(here, folder.path, folder.pattern)
    except OSError as error:
        raise Permanent("unreadable", _reason(error), details={"path": folder.path}) from error
    left = folder.limit
    files = listing.files[:left]
    for name in files:
        path = tree.join(folder.path, name)
        step.emit(
            file_metrics,
            SourceFile(root=folder.root, path=path),
            id=tree.step_id(FILE, path),
            allow_failure=True,
        )
    below = list(_share(folder, listing.folders, None if left is None else left - len(files)))
    for inner in below:
        step.emit(scan, inner, id=tree.step_id(SCAN, inner.path), allow_failure=True)
    return FolderScan(
        found_files=len(files),
        found_folders=len(below),
        unnamed=[ascii(name)[1:-1] for name in listing.unnamed],
    )


def _share(folder: Folder, names: list[str], left: int | None) -> Iterator[Folder]:
    """The folders to scan, each with its share of the files that are left to take."""
    for name in names:
        path = tree.join(folder.path, name)
        if left is None:
            yield folder.model_copy(update={"path": path})
            continue
        share = tree.count_files(Path(folder.root, path), path, folder.pattern, left)
        if share:
            yield folder.model_copy(update={"path": path, "limit": share})
            left -= share


@census.executor("census.file", pool="process", timeout=timedelta(minutes=2))
def file_metrics(file: SourceFile) -> FileMetrics:
    """Parse one file and count what is in it."""
    begun = time.perf_counter()
    details = {"path": file.path}
    try:
        source = Path(file.root, file.path).read_bytes()
        counts = measure(source)
    except OSError as error:
        raise Permanent("unreadable", _reason(error), details=details) from error
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise Permanent("syntax_error", _reason(error), details=details) from error
    except (RecursionError, MemoryError) as error:
        raise Permanent("too_complex", "nested too deeply", details=details) from error
    return FileMetrics(
        path=file.path,
        package=tree.top_level(file.path),
        bytes=len(source),
        lines=counts.lines,
        code=counts.code,
        comments=counts.comments,
        docstrings=counts.docstrings,
        blank=counts.blank,
        functions=counts.functions,
        classes=counts.classes,
        imports=counts.imports,
        branches=counts.branches,
        depth=counts.depth,
        seconds=round(time.perf_counter() - begun, 6),
    )


@census.executor("census.tally", retry=Retry(max_attempts=3))
def tally(step: StepContext) -> Tally:
    """Write all findings into the projection, and the totals of each package as records."""
    measured = step.dependencies(file_metrics)
    files = list(measured.values())
    failures = list(_failures(step, step.dependencies(scan), measured.keys()))
    step.projection(PROJECTION).once(
        lambda database: readmodel.write(database, step.run.id, files, failures)
    )
    totals = _totals(step.run.id, files)
    for name, total in totals.items():
        step.record("packages", tree.plain_id(name), total)
    return Tally(files=len(files), failures=len(failures), packages=len(totals))


def _failures(
    step: StepContext, scans: dict[str, FolderScan], measured: Collection[str]
) -> Iterator[FileFailure]:
    """Why emitted steps have no result, and the files that the scans could not name."""
    for id, found in scans.items():
        for name in found.unnamed:
            folder = id.removeprefix(f"{SCAN}:")
            yield FileFailure(
                path=tree.join(folder, name), code="file_name", message="the name is not UTF-8"
            )
        for child in step.dependency_result(id).emitted:
            if child in measured or child in scans:
                continue
            error = step.dependency_result(child).error
            yield FileFailure(
                path=error.details.get("path", child) if error else child,
                code=error.code if error else "no_result",
                message=error.message if error else "",
            )


def _totals(run_id: str, files: list[FileMetrics]) -> dict[str, PackageTotals]:
    totals: dict[str, PackageTotals] = {}
    for file in files:
        empty = PackageTotals(run=run_id, files=0, lines=0, code=0, functions=0, classes=0)
        total = totals.setdefault(file.package, empty)
        total.files += 1
        for name in ("lines", "code", "functions", "classes"):
            setattr(total, name, getattr(total, name) + getattr(file, name))
    return totals


@census.executor("census.report", retry=Retry(max_attempts=3))
def write_report(step: StepContext, plan: CensusInput) -> Summary:
    """Store an HTML page about the census, and sum it up."""
    found = readmodel.read(step.projection(PROJECTION), step.run.id)
    folder = plan.folder or ""
    page = report.page(found, folder=folder, run_id=step.run.id, at=step.now)
    step.store_artifact(REPORT, page, content_type="text/html; charset=utf-8", kind="report")
    return Summary(
        folder=folder,
        files=found.files,
        failures=len(found.failures),
        packages=len(found.packages),
        lines=found.lines,
        code=found.code,
        functions=found.functions,
        classes=found.classes,
        seconds=found.seconds,
        report=REPORT,
    )


@census.entrypoint
def start(run: RunBuilder, plan: CensusInput | None) -> None:
    """Scan a folder, join the findings, and report them."""
    plan = plan or CensusInput()
    root = Path(plan.folder or tree.default_folder()).absolute()
    if not root.is_dir():
        raise InvalidInput(f"input.folder: must be a folder, got {str(root)!r}; there is none")
    plan = plan.model_copy(update={"folder": str(root)})
    run.name = f"census of {tree.printable(root.name)}"[:60]
    first = run.step(
        scan,
        Folder(root=str(root), pattern=plan.pattern, limit=plan.limit),
        id=tree.step_id(SCAN, ""),
    )
    joined = run.step(tally, id="tally", after_subtree=[Dependency(first, "finished")])
    run.step(write_report, plan, id="report", after=[joined])


def _reason(error: Exception) -> str:
    """An error as one printable line."""
    if isinstance(error, OSError):
        text = error.strerror or type(error).__name__
    elif isinstance(error, SyntaxError):
        line = f"line {error.lineno}: " if error.lineno else ""
        text = f"{line}{error.msg}"
    else:
        text = f"{error}"
    return tree.printable(text)[:500]
