"""Where packages come from, and what is said when one cannot be loaded."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from stepwell.cli import apps
from stepwell.cli.apps import load_app, load_apps
from stepwell.engine.errors import InvalidPackage
from tests.cli.conftest import SAMPLE, CommandLine

pytestmark = pytest.mark.usefixtures("cli")

Installed = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    def install(**values: str) -> None:
        entries = [EntryPoint(name, value, apps.GROUP) for name, value in values.items()]
        monkeypatch.setattr(apps, "entry_points", lambda group: entries)

    return install


def test_a_module_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "barn_one.py").write_text(
        "from stepwell import Package\nprint('talk')\nclass holder: barn = Package('barn')\n"
    )

    assert [package.name for package in load_app("barn_one:holder.barn")] == ["barn"]


def test_a_file_with_a_list_of_packages() -> None:
    assert [p.name for p in load_app(SAMPLE.replace(":sample", ":both"))] == ["sample", "twin"]


def test_the_same_package_named_twice_counts_once(installed: Installed) -> None:
    installed()

    found = load_apps([SAMPLE, SAMPLE.replace(":sample", ":both")], lambda _: None)

    assert found.names == ["sample", "twin"]


def test_an_input_without_a_schema_hides_no_other_package(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "money.py").write_text(
        "from typing import Annotated\n"
        "from pydantic import BaseModel, BeforeValidator, ConfigDict\n"
        "from stepwell import Package, RunBuilder\n"
        "class Money:\n"
        "    def __init__(self, text): self.text = text\n"
        "class Order(BaseModel):\n"
        "    model_config = ConfigDict(arbitrary_types_allowed=True)\n"
        "    price: Annotated[Money, BeforeValidator(Money)]\n"
        "package = Package('money')\n"
        "@package.entrypoint\n"
        "def start(run: RunBuilder, order: Order) -> None: ...\n"
    )

    listed = cli("--app", "money.py:package", "--app", SAMPLE, "packages")

    assert listed.exit_code == 0, listed.stderr
    assert "money" in listed.stdout
    assert "sample" in listed.stdout


def test_a_run_that_nobody_could_find_is_not_started(cli: CommandLine) -> None:
    started = cli.sample("--store", "memory://", "start", "sample:start")

    assert started.exit_code == 8
    assert "memory:// keeps nothing from one command to the next" in started.stderr


def test_a_file_that_imports_a_module_which_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "lacking.py").write_text("import no_such_module_at_all\n")

    with pytest.raises(InvalidPackage, match=r"importing 'lacking' failed: ModuleNotFoundError"):
        load_app("lacking.py:package")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero ("),
        ("import sys; sys.exit(3)", "SystemExit: 3 ("),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at"),
        ("def (", "SyntaxError: "),
    ],
)
def test_a_module_that_breaks_on_import(tmp_path: Path, source: str, reason: str) -> None:
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)

    with pytest.raises(InvalidPackage) as caught:
        load_app(f"{name}:x")

    assert str(caught.value).startswith(f"--app '{name}:x': importing '{name}' failed: {reason}")


def test_a_misspelt_module_gets_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "haystack_two.py").write_text("")

    with pytest.raises(InvalidPackage, match="no module 'haystack_tow'; did you mean 'haystack_t"):
        load_app("haystack_tow:x")


def test_a_file_that_has_the_name_of_another_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")

    with pytest.raises(InvalidPackage, match=r"the file has the name of another module .*rename"):
        load_app("json.py:x")


def test_broken_installed_packages_are_reported_and_the_others_load(
    cli: CommandLine, installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "shed.py").write_text(
        "from stepwell import Package\nempty = Package('empty')\ngood = Package('good')\n"
        "@good.entrypoint\ndef start(run): run.step('shell.run', {'argv': ['true']})\n"
    )
    installed(a="shed:nothing", b="shed:empty", c="shed:good", d="no_such_module_here:x")

    result = cli("--app", "shed:good", "packages")

    assert result.exit_code == 0
    assert "\ngood     start " in result.stdout
    first, second, third = result.stderr.splitlines()
    assert first.startswith("warning: package 'a' could not be loaded: AttributeError: ")
    assert second.startswith("warning: package 'd' could not be loaded: ModuleNotFoundError: ")
    assert third.startswith("warning: package 'b' is left out: package 'empty' has no entrypoint")

    named = cli("--app", "shed:good", "packages", "empty")

    assert named.exit_code == 3
    assert named.stderr.splitlines() == [
        first,
        second,
        third,
        "error: package 'empty' is declared wrongly and was left out",
    ]


def test_a_named_package_takes_the_place_of_an_installed_one(installed: Installed) -> None:
    installed(sample="tests.cli.sample_package:sample")

    found = load_apps([SAMPLE], lambda _: None)

    assert [package.name for package in found.named] == ["sample"]
    assert found.installed == ()
