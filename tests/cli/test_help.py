"""The help, the reference made from it, and what loading it costs."""

import click
import pytest

from stepwell.cli import reference
from stepwell.cli.main import COMMANDS, command_line
from tests.architecture.product import ROOT
from tests.cli.conftest import CommandLine, Shell


def test_the_reference_is_what_the_commands_say() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

    assert written == reference.page(), "run: python -m stepwell.cli.reference > docs/cli.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = command_line.get_command(click.Context(command_line), name)

    assert command is not None
    assert command.name == name
    assert (command.help or "").splitlines()[0] == COMMANDS[name][1]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(cli: CommandLine, flag: str) -> None:
    result = cli(flag)

    assert result.exit_code == 0
    assert all(text in result.stdout for _, text in COMMANDS.values())
    assert result.stderr == ""


def test_without_a_command_the_help_is_talk(cli: CommandLine) -> None:
    result = cli()

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: stepwell [OPTIONS] COMMAND")


def test_help_of_a_command_opens_nothing(shell: Shell) -> None:
    result = shell("run", "--help")

    assert result.returncode == 0
    assert "--lease TIME" in result.stdout
    assert list(shell.folder.iterdir()) == []
