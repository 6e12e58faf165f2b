"""A clone can be imported from its folder, whatever the Python knows of it."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.product import FACE, ROOT, rooms

# Without site no .pth file is read: what is installed is there, but no clone is.
START = f"""
import sys
sys.path.append({sysconfig.get_path("purelib")!r})
"""
# A finder as an editable install of another clone leaves it, behind all others.
OTHER_CLONE = """
class Other:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("stepwell"):
            raise SystemExit(f"{name} was looked for in another clone")
sys.meta_path.append(Other)
"""
WORK = """
import stepwell.engine.ports, stepwell.stores.sql.store, stepwell.cli.main, stepwell.testing
from stepwell import Package, connect
package = Package("p")
@package.workflow
def greet(name: str) -> str:
    return f"hello {name}"
with connect("memory://", packages=[package]) as runtime:
    run = runtime.start_run(greet, "you")
    runtime.drain(run.id)
    print(run.wait())
print(stepwell.engine.ports.__file__)
"""


@pytest.mark.parametrize("other", ["", OTHER_CLONE], ids=["no clone", "another clone"])
def test_a_clone_is_imported_from_its_folder(other: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", START + other + WORK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(ROOT / "engine" / "ports.py")


def test_its_command_line_runs_too() -> None:
    program = START + (
        "import runpy\nsys.argv = ['stepwell', 'version']\n"
        "runpy.run_module('stepwell', run_name='__main__', alter_sys=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("stepwell ")


def test_what_an_older_clone_left_in_the_face_hides_no_room(tmp_path: Path) -> None:
    for name, folder in rooms().items():
        if name == FACE:
            shutil.copytree(folder, tmp_path / FACE, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / FACE / "testing" / "__pycache__").mkdir(parents=True)

    done = subprocess.run(
        [sys.executable, "-S", "-c", START + WORK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "engine" / "ports.py")
