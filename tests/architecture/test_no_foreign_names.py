"""No file names the machine it was written on or the host its packages came from."""

import re
import shutil
import subprocess

import pytest

from tests.architecture.product import ROOT, report

# Written in pieces, so that this file does not name them either.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pypi", "python", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("conda", "anaconda"),
        ("jfrog", "io"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
)
FOLDERS = ("root", "work", "home", "Users")
OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host")

# A path starts a word: `/…/` in the middle of another path or of a URL is not one.
PATH = rf"(?<![\w.~*/$}}-])/(?:{'|'.join(FOLDERS)})/"
OPTION = rf"--(?:{'|'.join(OPTIONS)})\b"
FOREIGN = re.compile("|".join([*map(re.escape, HOSTS), PATH, OPTION]))


def files() -> list[str]:
    """Give every file of the repository, whether it is committed yet or not."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git working tree")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted({name for name in listing.stdout.split("\0") if (ROOT / name).is_file()})


def test_no_file_names_a_host_or_a_machine_path() -> None:
    offenders = [
        f"{name}:{number}: {match.group()}"
        for name in files()
        for number, line in enumerate(
            (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        if (match := FOREIGN.search(line))
    ]

    assert not offenders, report("foreign names", offenders)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_machine_path_is_seen(folder: str) -> None:
    assert FOREIGN.search(f'path = "/{folder}/me/engine"')
    assert FOREIGN.search(f"/{folder}/me")


@pytest.mark.parametrize("text", ["src/work/main.py", "https://example.com/work/", "./home/x"])
def test_other_paths_are_not(text: str) -> None:
    assert not FOREIGN.search(text)
