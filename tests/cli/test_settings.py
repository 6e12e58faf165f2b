"""Flag over variable over file over default."""

from pathlib import Path

import pytest

from stepwell.cli.settings import configure
from stepwell.engine.errors import InvalidSettings
from tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("cli")


def ignore(_: str) -> None:
    return


def test_defaults() -> None:
    config = configure({}, ignore)

    assert (config.store, config.home, config.app) == (None, None, ())
    assert config.engine.lease == 30


def test_each_place_holds_over_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stepwell.toml").write_text("lease = 1\ngrace = 1\nthreads = 1\n")
    monkeypatch.setenv("STEPWELL_GRACE", "2")
    monkeypatch.setenv("STEPWELL_THREADS", "2")

    engine = configure({"threads": "3"}, ignore).engine

    assert (engine.lease, engine.grace, engine.threads) == (1, 2, 3)


def test_the_file_is_found_from_below_and_its_paths_start_at_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.stepwell]\nhome = "h"\nstore = "sqlite:///a.db"\napp = ["x.py:a", "m:b"]\n'
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    monkeypatch.chdir(below)

    config = configure({}, ignore)

    assert config.home == str(tmp_path / "h")
    assert config.store == f"sqlite:///{tmp_path}/a.db"
    assert config.app == (str(tmp_path / "x.py:a"), "m:b")


def test_apps_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_APP", "a:b, c.py:d")

    assert configure({}, ignore).app == ("a:b", "c.py:d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("leese = 1", "leese: unknown setting; did you mean 'lease'?"),
        ("lease = 0", "lease: must be from 0.2 to 86400 seconds, got 0"),
        ("lease = true", "lease: must be a number of seconds, got True"),
        ("durability = 3", "durability: must be 'full' or 'relaxed', got 3"),
        ("home = 3", "home: must be text, got 3"),
        ("app = 3", "app: must be a list of text, got 3"),
        ("app = [3]", "app: must be a list of text, got [3]"),
        ("lease = ]", "is not TOML: Invalid value (at line 1, column 9)"),
    ],
)
def test_a_wrong_file_is_refused_by_its_path(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "stepwell.toml"
    path.write_text(text)

    with pytest.raises(InvalidSettings) as caught:
        configure({}, ignore)

    assert str(caught.value) == f"{path}: {message}"


def test_a_wrong_table_names_its_place(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool]\nstepwell = 3\n")

    with pytest.raises(InvalidSettings) as caught:
        configure({}, ignore)

    assert str(caught.value) == f"{path}: tool.stepwell: must be a table, got 3"


def test_a_wrong_variable_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_LEASE", "soon")

    with pytest.raises(InvalidSettings) as caught:
        configure({}, ignore)

    assert str(caught.value) == "STEPWELL_LEASE: must be a number of seconds, got 'soon'"


def test_a_misspelt_variable_is_reported(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_LEESE", "5")
    monkeypatch.setenv("STEPWELL_SOMETHING_ELSE", "5")

    result = cli("status")

    assert result.stderr.splitlines()[0] == (
        "warning: STEPWELL_LEESE is no setting; did you mean STEPWELL_LEASE?"
    )
    assert "SOMETHING" not in result.stderr


def test_a_setting_reaches_the_engine(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "stepwell.toml").write_text("payload_limit = 30\n")

    result = cli.yard("start", "yard:start", "--set", f"note={'x' * 30}")

    assert "over the limit of 30" in result.stderr
    assert result.exit_code == 2
