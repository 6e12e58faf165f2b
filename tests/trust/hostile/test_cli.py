"""The command line under hostile words: one line, the right exit code, and no half store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from stepwell import connect
from stepwell.cli.errors import EXIT_CODES
from stepwell.cli.main import COMMANDS, command_line
from tests.trust.hostile import fuzzed_package
from tests.trust.hostile.fuzzed_package import at_most, fuzzed, many, rows_of
from tests.trust.hostile.values import NASTY_JSON, NASTY_TEXTS, json_texts, texts

ROOT = Path(__file__).parents[3]
APP = f"{fuzzed_package.__name__}:fuzzed"
REFUSED = {2, 3, 4, 7}
# These say where things are: they would leave the store, or go on for ever.
PLACES = {
    *("--store", "--artifacts", "--projections", "--checkpoints", "--home", "--app"),
    *("--follow", "--output", "--help", "--version", "--debug"),
}
SHARDS = 4


def leaves(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every command there is, with the words that call it."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from leaves(found, (*words, name))
    else:
        yield words, command


ALL = list(leaves(command_line))


def word(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """A word for a parameter: sometimes right, mostly not."""
    right = [
        "r1",
        "echo",
        "wait",
        "fuzzed:start",
        "fuzzed",
        "last",
        "go",
        "k",
        "1",
        '{"a":1}',
    ]
    return st.sampled_from(right) | json_texts | texts


@st.composite
def calls(draw: st.DrawFn, commands: list[Any]) -> list[str]:
    """A command with arguments for all it takes, or not, and some of its options."""
    words, command = draw(st.sampled_from(commands))
    given_words = list(words)
    options = [p for p in command.params if isinstance(p, click.Option)]
    usable = [option for option in options if not PLACES & set(option.opts)]
    for option in draw(st.lists(st.sampled_from(usable), max_size=3)) if usable else []:
        given_words.append(option.opts[0])
        if not option.is_flag:
            given_words.append(draw(word(option)))
    if "worker" in words:
        given_words += ["--max-cycles", "1"]
    if words == ("run",):
        given_words += ["--timeout", "0.05"]
    for argument in command.params:
        if isinstance(argument, click.Argument) and draw(st.integers(0, 9)):
            given_words.append(draw(word(argument)))
    return given_words


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a run, a message and a key; and an empty folder to work in."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    path = tmp_path / "engine.db"
    with connect(f"sqlite:///{path}", home=tmp_path, packages=[fuzzed]) as runtime:
        runtime.start_run("fuzzed", {"a": 1}, run_id="r1", entrypoint="start")
        runtime.kv.set("k", 1)
        while runtime.run_once().processed:
            pass
    return path


def call(store: Path, words: list[str], stdin: bytes = b"") -> Result:
    """Run a command in this process."""
    shared = ["--store", f"sqlite:///{store}", "--home", str(store.parent), "--app", APP]
    return CliRunner().invoke(command_line, [*shared, *words], input=stdin)


def check(result: Any, stderr: str) -> None:
    """It ended as a command ends: with a code of the table, and without a traceback."""
    assert "Traceback" not in stderr
    assert "unexpected" not in stderr, stderr[-2_000:]
    assert result in EXIT_CODES, f"exit code {result}: {stderr[-2_000:]}"
    if result in REFUSED:
        assert stderr.startswith(("error: ", "Usage:")) or "error: " in stderr, stderr[-2_000:]


def test_all_commands_are_tried() -> None:
    assert {words[0] for words, _ in ALL} == set(COMMANDS)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_any_words(store: Path, scale: float, shard: int) -> None:
    @many(40, scale)
    @given(calls(ALL[shard::SHARDS]), json_texts)
    def examine(words: list[str], stdin: str) -> None:
        # given
        before = rows_of(store)

        # when
        with at_most():
            result = call(store, words, stdin.encode(errors="surrogatepass"))

        # then
        check(result.exit_code, result.stderr)
        if result.exit_code in REFUSED:
            assert rows_of(store) == before

    examine()


@pytest.mark.parametrize("flag", ["--input", "--input @", "--set"])
def test_every_nasty_input(store: Path, flag: str) -> None:
    for number, text in enumerate(NASTY_JSON):
        before = rows_of(store)
        name, _, how = flag.partition(" ")
        data = text.encode(errors="surrogatepass")
        given_text = how or text
        if how == "@":
            Path("input").write_bytes(data)
            given_text = "@input"
        if name != "--input":
            given_text = f"key={text}"

        with at_most():
            result = call(store, ["start", "fuzzed:start", name, given_text], data)

        check(result.exit_code, result.stderr)
        if result.exit_code:
            assert rows_of(store) == before, number
        assert len(result.stderr) < 2_000


@pytest.mark.parametrize("words", ["show", "kv get", "send"])
def test_every_nasty_name(store: Path, words: str) -> None:
    rest = {"send": ["topic", "1"]}.get(words, [])
    for text in NASTY_TEXTS:
        with at_most():
            result = call(store, [*words.split(), "--", text, *rest])

        check(result.exit_code, result.stderr)


SAMPLE = [
    ["start", "fuzzed:start", "--input", NASTY_JSON[0]],
    ["start", "fuzzed:start", "--input", "[" * 50_000],
    ["start", "fuzzed:start", "--input", f"[{'7' * 5_000}]"],
    ["start", "fuzzed:start", "--run-id", os.fsdecode(b"\xff\xfe")],
    ["start", "fuzzed:start", "--input", os.fsdecode(b'"\xff"')],
    ["start", "fuzzed:start", "--set", os.fsdecode(b"\xff=\xff")],
    ["show", os.fsdecode(b"\xed\xa0\x80")],
    ["kv", "get", os.fsdecode(b"\xff")],
    ["list", "--status", os.fsdecode(b"\xff")],
    [os.fsdecode(b"\xff")],
]


@pytest.mark.parametrize("number", range(len(SAMPLE)))
def test_real_processes(store: Path, number: int) -> None:
    before = rows_of(store)
    shared = ["--store", f"sqlite:///{store}", "--home", str(store.parent), "--app", APP]

    done = subprocess.run(
        [sys.executable, "-m", "stepwell", *shared, *SAMPLE[number]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )

    check(done.returncode, done.stderr.decode())
    assert done.returncode in REFUSED
    assert done.stderr.count(b"\n") == 1
    assert rows_of(store) == before
