"""Inputs and results of the steps of a census."""

from pydantic import BaseModel, ConfigDict, Field


class CensusInput(BaseModel):
    """The input of a run. `folder` None means the standard library of the running Python.

    `pattern` is matched against the end of each file's path; `limit` takes only the first files.
    """

    model_config = ConfigDict(extra="forbid")

    folder: str | None = None
    pattern: str = Field(default="*.py", min_length=1)
    limit: int | None = Field(default=None, ge=1)


class Folder(BaseModel):
    """A folder to scan: `path` is relative to `root`, with slashes, and empty for `root`."""

    root: str
    path: str = ""
    pattern: str
    limit: int | None = None


class FolderScan(BaseModel):
    """What a scan found directly in its folder; `unnamed` lists names that are not UTF-8."""

    found_files: int
    found_folders: int
    unnamed: list[str] = []


class SourceFile(BaseModel):
    """A file to measure."""

    root: str
    path: str


class FileMetrics(BaseModel):
    """The counts of one file.

    `lines` is the sum of `code`, `comments`, `docstrings` and `blank`. `branches` counts the places
    where the program can branch; `depth` is how deep blocks are nested.
    """

    path: str
    package: str
    bytes: int
    lines: int
    code: int
    comments: int
    docstrings: int
    blank: int
    functions: int
    classes: int
    imports: int
    branches: int
    depth: int
    seconds: float


class FileFailure(BaseModel):
    """A file or folder that was not measured, and why."""

    path: str
    code: str
    message: str


class PackageTotals(BaseModel):
    """The counts of one top-level package; kept as a record."""

    run: str
    files: int
    lines: int
    code: int
    functions: int
    classes: int


class Tally(BaseModel):
    """How much the join wrote into the projection."""

    files: int
    failures: int
    packages: int


class Summary(BaseModel):
    """The result of a census. `seconds` is the total time spent in file steps."""

    folder: str
    files: int
    failures: int
    packages: int
    lines: int
    code: int
    functions: int
    classes: int
    seconds: float
    report: str
