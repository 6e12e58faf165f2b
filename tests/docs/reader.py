"""A reader who follows one page: writes its files, runs its snippets and commands, in order."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import ROOT, Block

PROGRAMS = Path(sys.executable).parent
SITE = "site"
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
# Only what is here already: no index, nothing installed into the environment of the tests.
LOCALLY = ("--no-index", "--no-deps", "--no-build-isolation", "--target", SITE)

# What differs from run to run: ids of runs and artifacts, times, durations, rates.
_VARYING = (
    (re.compile(r"\b1[0-9a-z]{17}\b"), "<run>"),
    (re.compile(r"\ba[0-9a-z]{20,}\b"), "<artifact>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\bin \d+(\.\d+)? s\b"), "in <seconds>"),
    (re.compile(r"=\d+\.\d+"), "=<number>"),
    (re.compile(r"[ \t]+"), " "),
)


class Reader:
    """Works in `folder`, as if it were the folder the reader is in.

    `database` makes an empty PostgreSQL database for pages that ask for one.
    """

    def __init__(
        self,
        folder: Path,
        page: str,
        monkeypatch: pytest.MonkeyPatch,
        database: Callable[[], str],
    ) -> None:
        self.folder = folder
        self._database = database
        self._printed = ""
        # A module of its own, as models look up the names of their module there.
        self._module = ModuleType(f"page_{re.sub(r'[^a-z]', '_', page.lower())}")
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")
        } | {
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": SITE,
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setitem(sys.modules, self._module.__name__, self._module)
        self._known = set(sys.modules)

    def close(self) -> None:
        """Forget the modules that came from the page's folder."""
        for name in set(sys.modules) - self._known:
            origin = getattr(sys.modules[name], "__file__", None) or ""
            if origin.startswith(str(self.folder)):
                del sys.modules[name]

    def follow(self, block: Block) -> None:
        """Do what the block says. An assertion that fails names its place on the page."""
        if "copy" in block.marks:
            self._copy(block.marks["copy"])
        elif "database" in block.marks:
            self._environment["STEPWELL_STORE"] = self._database()
        elif "file" in block.marks:
            path = self.folder / block.marks["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif "output" in block.marks:
            assert alike(self._printed, block.text), f"{block.place}: printed {self._printed!r}"
        elif block.language == "python":
            self._execute(block)
        elif block.language == "console":
            self._type(block)

    def _copy(self, name: str) -> None:
        source, target = ROOT / name, self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg*"))
        else:
            shutil.copy(source, self.folder / source.name)

    def _execute(self, block: Block) -> None:
        # Blank lines before it, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + block.text, block.page, "exec")
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(code, self._module.__dict__)  # the page's own snippet
        self._printed = printed.getvalue()

    def _type(self, block: Block) -> None:
        dialogue = commands(block)
        for number, (command, expected) in enumerate(dialogue, start=1):
            wanted = int(block.marks.get("exit", 0)) if number == len(dialogue) else 0
            if command.startswith("make "):
                self._check_make(command, block)
                continue
            done = self._run(command, block.marks.get("add", ""))
            said = f"{block.place}: $ {command}\n{done.stdout}{done.stderr}"
            assert done.returncode == wanted, f"{said}\nended with {done.returncode}"
            assert "Traceback" not in done.stderr, said
            if expected:
                # A page may show data alone, or all that a terminal does.
                seen = (done.stdout or done.stderr, done.stdout + done.stderr)
                assert any(alike(each, expected) for each in seen), f"{said}\nis not\n{expected}"

    def _run(self, command: str, addition: str) -> subprocess.CompletedProcess[str]:
        arguments: list[str]
        if command.startswith("pip install "):
            arguments = [*PIP, *LOCALLY, *command.split()[2:]]
            arguments = [part for part in arguments if part not in ("-e", "--editable")]
        else:
            arguments = ["sh", "-c", f"{command} {addition}"]
        return subprocess.run(
            arguments,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def _check_make(self, command: str, block: Block) -> None:
        """Targets take the whole repository, and are run by CI: here they must only exist."""
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in command.partition("#")[0].split()[1:]:
            known = re.search(rf"^{re.escape(target)}:", targets, re.MULTILINE)
            assert known, f"{block.place}: the Makefile has no target {target!r}"


def commands(block: Block) -> list[tuple[str, str]]:
    """Each command after a `$ `, with the lines the page shows below it."""
    found: list[list[str]] = []
    continued = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append([line.removeprefix("$ "), ""])
        elif continued:
            found[-1][0] += f"\n{line}"
        else:
            assert found, f"{block.place}: a console block begins with `$ `"
            found[-1][1] += f"{line}\n"
        continued = (line.startswith("$ ") or continued) and line.endswith("\\")
    return [(command, shown) for command, shown in found]


def alike(printed: str, shown: str) -> bool:
    """Whether a page shows what was printed: `…` stands for any text, ids and times may differ."""
    pattern = ".*".join(map(re.escape, _steady(shown).split("…")))
    return re.fullmatch(pattern, _steady(printed), re.DOTALL) is not None


def _steady(text: str) -> str:
    for varying, word in _VARYING:
        text = varying.sub(word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())
