"""The samples that are programs, run as a reader runs them, and what all samples may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stepwell

SAMPLES = Path(__file__).parents[2] / "samples"
SOURCES = sorted(SAMPLES.rglob("*.py"))


@pytest.mark.parametrize(
    ("program", "output"),
    [("hello/hello.py", "Hello, world!\n"), ("shop/shop.py", "succeeded 600\n")],
)
def test_a_program_prints_its_result(program: str, output: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SAMPLES / program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(SAMPLES)))
def test_samples_import_public_names_only(source: Path) -> None:
    foreign = []
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            foreign += [alias.name for alias in node.names if alias.name.startswith("stepwell")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stepwell"):
            names = [alias.name for alias in node.names]
            if node.module != "stepwell" or not set(names) <= set(stepwell.__all__):
                foreign.append(f"from {node.module} import {', '.join(names)}")

    assert foreign == []
