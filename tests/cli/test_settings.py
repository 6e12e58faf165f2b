"""Flag over variable over file over default."""

import os
from codecs import BOM_UTF8
from pathlib import Path

import pytest

from stepwell.cli.settings import configure
from stepwell.engine.durations import FORMS
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
        ("lease = 0", f"lease: must be a duration from 200ms to 1d ({FORMS}), got 0"),
        ("lease = true", f"lease: must be a duration from 200ms to 1d ({FORMS}), got True"),
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

    assert str(caught.value) == (
        f"STEPWELL_LEASE: must be a duration from 200ms to 1d ({FORMS}), got 'soon'"
    )


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

    result = cli.sample("start", "sample:start", "--set", f"note={'x' * 30}")

    assert "over the limit of 30" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("name", ["stepwell.toml", "pyproject.toml"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, name: str) -> None:
    table = "" if name == "stepwell.toml" else "[tool.stepwell]\n"
    (tmp_path / name).write_bytes(BOM_UTF8 + f"{table}lease = 7\n".encode())

    assert configure({}, ignore).engine.lease == 7


# --- whose file it is ---------------------------------------------------------------------------


class Strangers:
    """Makes files another user's, as far as this process can tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._me = os.geteuid()

    def take(self, path: Path) -> int:
        """Give a file away; returns whose it is now."""
        if self._me == 0:
            os.chown(path, 4711, -1, follow_symlinks=False)
            return 4711
        self._monkeypatch.setattr(os, "geteuid", lambda: self._me + 1)
        return self._me


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Strangers:
    monkeypatch.delenv("SUDO_UID", raising=False)
    return Strangers(monkeypatch)


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


TEXTS = {
    "stepwell.toml": "lease = 7\napp = ['evil:evil']\n",
    "pyproject.toml": "[tool.stepwell]\nlease = 7\napp = ['evil:evil']\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_of_another_user_above_is_not_obeyed(
    tmp_path: Path, below: Path, strangers: Strangers, name: str
) -> None:
    # given a file of somebody else in a folder above
    (tmp_path / name).write_text(TEXTS[name])
    owner = strangers.take(tmp_path / name)
    told: list[str] = []

    # when
    config = configure({}, told.append)

    # then
    assert (config.file, config.app, config.engine.lease) == (None, (), 30)
    assert told == [
        f"{tmp_path / name} is not obeyed: it belongs to another user (uid {owner}); "
        "call the command in its folder, or make it your own"
    ]


@pytest.mark.parametrize("text", ["lease = ]", "leese = 1", "\0"])
def test_what_a_stranger_wrote_stops_nobody(
    tmp_path: Path, below: Path, strangers: Strangers, text: str
) -> None:
    for name in TEXTS:
        (tmp_path / name).write_text(text)
        strangers.take(tmp_path / name)

    assert configure({}, ignore).file is None


def test_a_strangers_project_without_settings_is_not_talked_about(
    tmp_path: Path, below: Path, strangers: Strangers
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    strangers.take(tmp_path / "pyproject.toml")
    told: list[str] = []

    configure({}, told.append)

    assert told == []


def test_the_next_file_above_holds(tmp_path: Path, below: Path, strangers: Strangers) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give one of two files away")
    (tmp_path / "stepwell.toml").write_text("lease = 9\n")
    (tmp_path / "a" / "stepwell.toml").write_text("lease = 7\n")
    strangers.take(tmp_path / "a" / "stepwell.toml")

    assert configure({}, ignore).engine.lease == 9


def test_a_strangers_link_to_a_file_of_ones_own_is_not_obeyed(
    tmp_path: Path, below: Path, strangers: Strangers
) -> None:
    (below / "mine.toml").write_text("lease = 7\n")
    (tmp_path / "stepwell.toml").symlink_to(below / "mine.toml")
    strangers.take(tmp_path / "stepwell.toml")

    assert configure({}, ignore).file is None


def test_a_file_in_the_working_folder_is_obeyed_whose_ever_it_is(
    tmp_path: Path, strangers: Strangers
) -> None:
    (tmp_path / "stepwell.toml").write_text("lease = 7\n")
    strangers.take(tmp_path / "stepwell.toml")

    assert configure({}, ignore).engine.lease == 7


def test_who_became_root_by_sudo_is_no_stranger(
    tmp_path: Path, below: Path, strangers: Strangers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stepwell.toml").write_text("lease = 7\n")
    owner = strangers.take(tmp_path / "stepwell.toml")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", str(owner))

    assert configure({}, ignore).engine.lease == 7


def test_config_says_which_file_was_read_and_where_all_stands(
    cli: CommandLine, tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stepwell.toml"
    path.write_text('store = "sqlite:///x.db"\nlease = 7\n')
    monkeypatch.setenv("STEPWELL_GRACE", "2")

    found = cli.json("config", "--threads", "3")
    shown = cli("config").stdout

    assert found["file"] == str(path)
    settings = found["settings"]
    assert settings["lease"] == {"value": 7.0, "source": f"{path}: lease"}
    assert settings["store"]["value"] == f"sqlite:///{tmp_path}/x.db"
    assert settings["grace"] == {"value": 2.0, "source": "STEPWELL_GRACE"}
    assert settings["threads"] == {"value": 3, "source": "--threads"}
    assert settings["home"] == {"value": None, "source": "default"}
    assert shown.startswith(f"file  {path}\n")
    assert list(tmp_path.glob("**/*.db")) == []


def test_config_without_a_file_and_with_a_password(cli: CommandLine) -> None:
    url = "postgresql://ann:geheim@host/db?sslmode=require&sslpassword=geheim"

    found = cli.json("--store", url, "config")

    assert found["file"] is None
    shown = found["settings"]["store"]["value"]
    assert shown == "postgresql://ann:***@host/db?sslmode=require&sslpassword=***"
    assert "geheim" not in cli("--store", url, "config").stdout
