"""Tables, JSON, escapes and the progress of a run."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from stepwell.cli.live import LiveDisplay
from stepwell.cli.output import Output, clean, duration, json_text, plain, width
from stepwell.cli.progress import PlainDisplay, Snapshot
from stepwell.engine.model import RunProgress
from stepwell.engine.states import RunStatus

COUNTS = RunProgress(RunStatus.RUNNING, 40, 40, 0, 0, 0, 0, ())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain: ünïcödé 日本", "plain: ünïcödé 日本"),
        ("\x1b[2J\r\x07", "\\x1b[2J\\r\\x07"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x9b31m\u202e\u200b", "\\x9b31m\\u202e\\u200b"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_json_has_no_character_a_terminal_acts_on() -> None:
    value = {"key\u202e": "\x1b[2J\x9b\n é 🙂 \U000e0001"}

    text = json_text(value)

    assert "é 🙂" in text
    assert all(char.isprintable() or char == "\n" for char in text)
    assert json.loads(text) == value
    assert json_text(value, ascii_only=True).isascii()


def test_times_and_durations_in_json() -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert plain({"at": at, "for": timedelta(minutes=1), "of": RunStatus.FAILED}) == {
        "at": "2030-01-02T03:04:05.000000Z",
        "for": 60.0,
        "of": "failed",
    }


def test_columns_line_up_with_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("name", "count"), [("日本", 1), ("e\u0301", 2000), ("abc", None)])

    assert capsys.readouterr().out == ("NAME  COUNT\n日本  1\ne\u0301     2,000\nabc\n")
    assert (width("日本"), width("e\u0301")) == (4, 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_in_lines_says_only_what_is_new() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append)

    for open_steps in (40, 39, 38, 36, 20):
        display.show(Snapshot(replace(COUNTS, open=open_steps), 1.0, 0.0))
    done = replace(COUNTS, open=0, failed=2, status=RunStatus.FAILED)
    display.show(Snapshot(done, 2.0, 20.4))
    display.show(Snapshot(done, 3.0, 20.4))

    assert lines == [
        "running     0 %, 0 of 40 steps",
        "running    10 %, 4 of 40 steps",
        "running    50 %, 20 of 40 steps",
        "failed    100 %, 40 of 40 steps, 2 failed, 20/s",
    ]


def test_live_progress_escapes_ids_and_names_some_running_steps() -> None:
    file = io.StringIO()
    display = LiveDisplay(Console(file=file, force_terminal=True, width=90, color_system=None))
    running = tuple(f"step [red]{number}\u202e" for number in range(7))

    display.show(Snapshot(replace(COUNTS, open=30, running=running), 61.0, 5.0))
    display.close()

    text = file.getvalue()
    assert "25 %  10 of 40 steps" in text
    assert "5/s  1 min 01 s" in text
    assert "7 running" in text
    assert "step [red]0\\u202e" in text
    assert "… and 2 more" in text
    assert "step [red]5" not in text
