"""An error of an operation is raised the first time as on each replay: the same, or as the same."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import subprocess
import zlib
from collections.abc import Callable
from decimal import Decimal
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from stepwell import Permanent, StepContext, StepError
from stepwell.engine.checkpoints.checkpoint import OperationError
from stepwell.engine.durable.operation_errors import from_value
from tests.engine.durable.workflow_harness import WorkflowHarness

# Of built-in errors what is in fields of their own, besides the arguments.
FIELDS = (
    *("errno", "strerror", "filename", "filename2", "characters_written"),
    *("encoding", "object", "start", "end", "reason"),
    *("msg", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line"),
    *("name", "path", "value", "__notes__"),
)
# How each built-in error is made that does not take one text.
MADE: dict[type[Exception], Callable[[], Exception]] = {
    UnicodeDecodeError: lambda: UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid"),
    UnicodeEncodeError: lambda: UnicodeEncodeError("utf-8", "a\ud800", 1, 2, "surrogates"),
    UnicodeTranslateError: lambda: UnicodeTranslateError("abc", 1, 2, "no"),
    ExceptionGroup: lambda: ExceptionGroup("several", [ValueError(1)]),
}
BUILT_IN = sorted(
    (
        kind
        for kind in vars(builtins).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
    key=lambda kind: kind.__name__,
)


class Declined(Exception):
    def __init__(self, amount: int, *, why: str) -> None:
        super().__init__(f"declined: {why}")
        self.amount, self.why, self.pair = amount, why, (amount, b"\xff")


class Locked(PermissionError):
    __slots__ = ("since",)

    def __init__(self, path: str, since: int) -> None:
        super().__init__(errno.EACCES, "locked", path)
        self.since = since


class Live(Exception):
    def __init__(self, handle: object) -> None:
        super().__init__("it is live", handle)
        self.handle = handle


def _noted() -> Exception:
    error = ValueError("x")
    error.add_note("seen before")
    return error


def caused(function: Callable[[], object]) -> Callable[[], Exception]:
    """The error that this raises."""

    def make() -> Exception:
        with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
            function()
        return caught.value

    return make


SAME: dict[str, Callable[[], Exception]] = {
    **{kind.__name__: MADE.get(kind, lambda kind=kind: kind("x")) for kind in BUILT_IN},  # type: ignore[misc]
    **{f"{kind.__name__}()": kind for kind in BUILT_IN if kind not in MADE},
    "no file": caused(lambda: open("/no/such/file")),  # noqa: SIM115
    "no path": caused(lambda: Path("/no/such/file").unlink()),
    "no file of bytes": caused(lambda: os.listdir(b"/no/such")),
    "two files": caused(lambda: os.rename("/no/a", "/no/b")),
    "a path object": lambda: FileNotFoundError(2, "gone", Path("/a"), None, Path("/b")),
    "unknown errno": lambda: OSError(9_999, "odd", "f"),
    "written": lambda: BlockingIOError(11, "full", 5),
    "decoding": caused(b"\xff".decode),
    "encoding": caused("\ud800".encode),
    "syntax": caused(lambda: compile("a b", "f.py", "exec")),
    "indentation": caused(lambda: compile("  x\n y", "f.py", "exec")),
    "import": caused(lambda: __import__("no_such_module")),
    "import of a name": lambda: ImportError("m", name="n", path="/p"),
    "stop": lambda: StopIteration((1, 2)),
    "key": lambda: KeyError(("a", 1)),
    "number": caused(lambda: int("x")),
    "name": caused(lambda: eval("no_such_name", {})),
    "json": caused(lambda: json.loads("{")),
    "program": lambda: subprocess.CalledProcessError(3, ["a", "b"], b"\xff", b""),
    "slow program": lambda: subprocess.TimeoutExpired(("a",), 1.5, b"x"),
    "zlib": caused(lambda: zlib.decompress(b"x")),
    "surrogate": lambda: ValueError("a\ud800"),
    "arguments": lambda: ValueError("a", (1, [2.5, None, True]), {"k": (b"v",)}),
    "long": lambda: ValueError("x" * 5_000),
    "notes": _noted,
    "another error": lambda: URLError(ConnectionRefusedError(111, "refused")),
    "own": lambda: Declined(5, why="no funds"),
    "own of a built-in one": lambda: Locked("/a", 7),
}
del SAME["ExceptionGroup"]
ALIKE: dict[str, Callable[[], Exception]] = {
    "group": lambda: ExceptionGroup("several", [ValueError(1), KeyError("a")]),
    "decimal": caused(lambda: Decimal("x")),
    "attribute": caused(lambda: object().missing),  # type: ignore[attr-defined]
    "live": lambda: Live(io.StringIO()),
    "large": lambda: UnicodeDecodeError("utf-8", b"\xff" * 100_000, 0, 1, "invalid"),
    "a key that is an object": lambda: KeyError(object()),
}


def portrait(error: BaseException) -> tuple[Any, ...]:
    fields = {name: getattr(error, name, "none") for name in FIELDS}
    state = {name: str(value) for name, value in vars(error).items()}
    slots = getattr(error, "since", None)
    return type(error), str(error), repr(error.args), repr(fields), state, slots


def raised(
    harness: WorkflowHarness, make: Callable[[], Exception]
) -> tuple[Exception, list[Any], list[Any]]:
    """The error of the function; the portraits of what was raised each time, and their causes."""
    error = make()
    portraits: list[Any] = []
    causes: list[Any] = []

    def fail() -> None:
        raise error

    def flow(step: StepContext) -> None:
        try:
            step.do("fail", fail)
        except Exception as caught:
            portraits.append(portrait(caught))
            causes.append(caught.__cause__)
        for _ in range(2):
            step.sleep(1)

    harness.go(flow)
    harness.pass_time(1)
    harness.pass_time(1)
    assert harness.value is None
    return error, portraits, causes


@pytest.mark.parametrize("name", SAME)
def test_the_same(harness: WorkflowHarness, name: str) -> None:
    error, portraits, causes = raised(harness, SAME[name])

    assert portraits == [portrait(error)] * 3
    assert causes == [None] * 3


@pytest.mark.parametrize("name", ALIKE)
def test_what_cannot_be_made_again_is_raised_alike(harness: WorkflowHarness, name: str) -> None:
    error, portraits, causes = raised(harness, ALIKE[name])

    assert portraits[1:] == portraits[:1] * 2
    assert causes == [error, None, None]
    assert issubclass(type(error), portraits[0][0]) or portraits[0][0] is StepError


def test_response_of_a_server_comes_with_an_empty_body(harness: WorkflowHarness) -> None:
    headers = Message()
    headers["Retry-After"] = "5"
    headers["Set-Cookie"] = "a=1"
    headers["Set-Cookie"] = "b=2"
    found: list[Any] = []

    def fail() -> None:
        raise HTTPError("http://x/y", 503, "busy", headers, io.BytesIO(b"body"))

    def flow(step: StepContext) -> None:
        try:
            step.do("fail", fail)
        except HTTPError as error:
            told = (error.code, error.msg, error.url, error.filename, error.reason, str(error))
            found.append((told, error.headers.items(), error.read()))
        step.sleep(1)

    harness.go(flow)
    harness.pass_time(1)

    told = (503, "busy", "http://x/y", "http://x/y", "busy", "HTTP Error 503: busy")
    assert found == [(told, headers.items(), b"")] * 2


def test_error_that_an_earlier_version_recorded() -> None:

    old = {"code": "ValueError", "message": "('a', 1)", "type": "builtins.ValueError"}
    made = from_value(OperationError.model_validate({**old, "args": ["a", 1], "state": {"n": 1}}))

    assert (type(made), made.args, vars(made)) == (ValueError, ("a", 1), {"n": 1})
    assert type(from_value(OperationError(code="gone", message="m", type="no.Such"))) is StepError


def test_own_error_with_a_code(harness: WorkflowHarness) -> None:
    error, portraits, causes = raised(
        harness, lambda: Permanent("declined", "no funds", details={})
    )

    assert [told[:4] for told in portraits] == [portrait(error)[:4]] * 3
    assert causes == [None] * 3
