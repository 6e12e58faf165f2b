"""Makes .link/stepwell, where type checkers and import-linter see the rooms as one package.

Each entry is a relative symlink. Running it again adds what is new, drops what is gone and
touches nothing else.
"""

import os
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FACE = "stepwell"
LINKS = ROOT / ".link" / FACE


def wanted() -> dict[str, Path]:
    """Give the name of each entry of .link/stepwell and what it points to."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = {name: ROOT / folder for name, folder in settings["package-dir"].items()}
    face = rooms.pop(FACE)
    entries = {path.name: path for path in face.iterdir() if path.name != "__pycache__"}
    entries.update((name.removeprefix(f"{FACE}."), folder) for name, folder in rooms.items())
    return {name: path for name, path in entries.items() if path.exists()}


def link() -> None:
    """Bring .link/stepwell in line with the rooms."""
    LINKS.mkdir(parents=True, exist_ok=True)
    targets = {name: os.path.relpath(path, LINKS) for name, path in wanted().items()}
    for entry in LINKS.iterdir():
        if not entry.is_symlink():
            continue
        if targets.get(entry.name) == str(entry.readlink()):
            del targets[entry.name]
        else:
            entry.unlink()
    for name, target in targets.items():
        (LINKS / name).symlink_to(target)


if __name__ == "__main__":
    link()
