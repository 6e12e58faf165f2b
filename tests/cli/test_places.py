"""Where artifacts, projections and checkpoints are kept: a flag, a variable or a line of a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.cli.session import without_secrets
from stepwell.cli.settings import configure
from tests.cli.conftest import CommandLine

KINDS = ("artifacts", "projections", "checkpoints")

PACKAGE = """
from stepwell import Package, StepContext

shop = Package("shop")


@shop.executor("work")
def work(step: StepContext) -> None:
    step.do("once", list)
    step.store_artifact("a.txt", "text")
    step.projection("sales").execute("CREATE TABLE sales (id INTEGER)")


@shop.entrypoint
def start(run):
    run.step(work, id="a")
"""


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[dict[str, Path]]:
    (tmp_path / "shop.py").write_text(PACKAGE)
    yield {kind: tmp_path / "elsewhere" / kind for kind in KINDS}
    sys.modules.pop("shop", None)  # other tests have a module of this name, too


def test_everything_is_where_the_flags_say(cli: CommandLine, folders: dict[str, Path]) -> None:
    flags = [part for kind, place in folders.items() for part in (f"--{kind}", f"file://{place}")]

    done = cli("--app", "shop.py:shop", *flags, "run", "shop")

    assert done.exit_code == 0, done.stderr
    for place in folders.values():
        assert any(path.is_file() for path in place.rglob("*")), place
    # and nothing of it is where it would be without them
    assert sorted(path.name for path in Path(".stepwell").iterdir() if path.is_dir()) == []


def test_a_file_and_a_variable_say_it_as_well(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stepwell.toml").write_text(
        'checkpoints = "sqlite:///c.db"\nartifacts = "file:///in/file"\n'
    )
    monkeypatch.setenv("STEPWELL_ARTIFACTS", "file:///in/variable")

    found = configure({"projections": "file:///in/flag"}, lambda _: None)

    assert found.checkpoints == f"sqlite:///{tmp_path}/c.db"
    assert found.artifacts == "file:///in/variable"
    assert found.projections == "file:///in/flag"


def test_config_shows_them_without_passwords(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_PROJECTIONS", "postgresql://ann:hunter2@db/sales")

    table = cli("config", "--checkpoints", "file:///kept")
    values = cli("config", "--checkpoints", "file:///kept", "--json")

    for done in (table, values):
        assert done.exit_code == 0
        assert "hunter2" not in done.stdout + done.stderr
    settings = json.loads(values.stdout)["settings"]
    assert settings["checkpoints"] == {"value": "file:///kept", "source": "--checkpoints"}
    assert settings["projections"]["value"].startswith("postgresql://ann:")
    assert settings["projections"]["source"] == "STEPWELL_PROJECTIONS"


@pytest.mark.parametrize(
    ("flag", "url", "says"),
    [
        ("--artifacts", "fil:///x", "artifacts: unknown kind of URL 'fil'; did you mean 'file'?"),
        ("--artifacts", "file://x", "names no folder; write file:///folder"),
        ("--artifacts", "/x", "artifacts: must be a URL, as file:///folder"),
        ("--projections", "postgre://x", "did you mean 'postgres'?"),
        ("--projections", "memory://x", "projections: memory:// takes nothing behind it"),
        ("--checkpoints", "sqlit:///x", "did you mean 'sqlite'?"),
    ],
)
def test_a_url_that_cannot_be_is_refused(cli: CommandLine, flag: str, url: str, says: str) -> None:
    done = cli("run-once", flag, url)

    assert done.exit_code == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("file:///home/me@work", "file:///home/me@work"),
        ("memory://", "memory://"),
        ("s3://bucket", "s3://bucket"),
        ("s3://key:secret@bucket", "s3://…"),
        ("postgers://ann:secret@host/db", "postgers://…"),
    ],
)
def test_url_as_it_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_is_refused_before_anything_is_made(
    cli: CommandLine, folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    done = cli("--app", "shop.py:shop", f"--{kind}", "flie:///x", "start", "shop")

    assert done.exit_code == 2
    assert f"{kind}: unknown kind of URL 'flie'; did you mean 'file'?" in done.stderr
    assert not Path(".stepwell").exists()


@pytest.mark.parametrize("kind", ["store", *KINDS])
def test_config_refuses_what_other_commands_refuse(cli: CommandLine, kind: str) -> None:
    # given a command that opens all places
    url = "flie://ann:hunter2@host/x"
    opening = cli(f"--{kind}", url, "run-once")

    # when
    shown = cli(f"--{kind}", url, "config")

    # then it says the same, and shows no password
    assert shown.exit_code == opening.exit_code == 2
    assert shown.stderr == opening.stderr
    assert shown.stderr.startswith(f"error: {kind}: unknown kind of URL 'flie'")
    assert shown.stdout == ""
    assert "hunter2" not in shown.stderr
