"""`make quick`: the unit tests of what changed, in less than a minute.

What changed is what git says: the commits of this branch that the main branch does not have, and
what is not committed yet. Each wing of a room has the tests that say soonest whether it still
works; `make test` has all of them. A test module that changed is run as well.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASES = ("main", "origin/main", "origin/HEAD")
PYTEST = ("-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal")

# Run whatever changed: they look at the text of all rooms.
ALWAYS = (
    "tests/architecture/test_banned_calls.py",
    "tests/architecture/test_import_rules.py",
    "tests/architecture/test_no_foreign_names.py",
    "tests/architecture/test_sizes.py",
)
# What is changed, and its tests. The longest beginning of a path that is here counts.
OWNERS: dict[str, tuple[str, ...]] = {
    "engine/": (
        "tests/engine/test_clock.py",
        "tests/engine/test_ids.py",
        "tests/engine/test_package.py",
        "tests/engine/test_retry.py",
        "tests/engine/test_settings.py",
        "tests/engine/test_signature.py",
        "tests/engine/test_states.py",
    ),
    "engine/graph/": ("tests/engine/test_graph.py", "tests/engine/test_shapes.py"),
    "engine/payloads/": ("tests/engine/test_payload.py", "tests/engine/test_payload_types.py"),
    "engine/checkpoints/": (
        "tests/engine/test_checkpoint_text.py",
        "tests/stores/test_checkpoints_file.py",
    ),
    "engine/durable/": ("tests/engine/durable",),
    "engine/step/": ("tests/engine/test_context.py", "tests/engine/test_execution.py"),
    "engine/worker/": ("tests/engine/worker",),
    "engine/runtime/": ("tests/engine/test_runtime.py",),
    "stores/": ("tests/stores/test_sqlite.py", "tests/stores/test_sqlite_files.py"),
    "stores/artifacts/": ("tests/stores/test_artifact_stores.py",),
    "stores/checkpoints/": ("tests/stores/test_checkpoints_file.py",),
    "stores/projections/": (
        "tests/stores/test_projections.py",
        "tests/stores/test_projections_postgres_sql.py",
    ),
    "stores/sql/": ("tests/stores/test_run_store_sqlite.py", "tests/stores/test_sqlite.py"),
    "executors/": ("tests/executors/test_registry.py", "tests/executors/test_supervisor.py"),
    "executors/kinds/": (
        "tests/executors/test_http.py",
        "tests/executors/test_shell.py",
        "tests/executors/test_subrun.py",
        "tests/executors/test_wait_kinds.py",
    ),
    "executors/pools/": (
        "tests/executors/test_pools.py",
        "tests/executors/test_tasks.py",
        "tests/executors/test_threads.py",
    ),
    "stepwell/": ("tests/architecture/test_face.py", "tests/features"),
    "testing/": ("tests/plugin",),
    "cli/": (
        "tests/cli/test_apps.py",
        "tests/cli/test_graph.py",
        "tests/cli/test_help.py",
        "tests/cli/test_inputs.py",
        "tests/cli/test_output.py",
        "tests/cli/test_settings.py",
    ),
    "samples/": ("tests/samples/test_programs.py",),
    "docs/": ("tests/docs/test_reference.py", "tests/docs/test_guarantees.py"),
    "tools/": ("tests/tools",),
    "Makefile": ("tests/tools",),
}
# Tests that take longer than a minute, or break things on purpose: for `make test` alone.
LONG = ("tests/trust/", "tests/postgres/", "tests/acceptance/", "tests/planted/", "tests/docs/")


def owned_tests(changed: Iterable[str], root: Path = ROOT) -> list[str]:
    """What is run for these files, each test once; nothing for no files at all."""
    found: dict[str, None] = {}
    for path in sorted(changed):
        found.update(dict.fromkeys(ALWAYS))
        owners = [start for start in OWNERS if path.startswith(start)]
        if owners:
            found.update(dict.fromkeys(OWNERS[max(owners, key=len)]))
        elif _is_quick_test(path) and (root / path).is_file():
            found[path] = None
    return [test for test in found if not _is_inside(test, found)]


def _is_quick_test(path: str) -> bool:
    is_test = path.startswith("tests/") and Path(path).match("test_*.py")
    return is_test and not path.startswith(LONG)


def _is_inside(test: str, others: Iterable[str]) -> bool:
    """Whether a folder with this test is run anyway."""
    return any(test.startswith(f"{other}/") for other in others)


def changed_files(root: Path = ROOT) -> list[str]:
    """The files that differ from where this branch left the main branch; both names of a move."""
    base = next((found for name in BASES if (found := _merge_base(root, name))), "HEAD")
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", base)
    added = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted({name for name in (changed + added).split("\0") if name})


def _merge_base(root: Path, branch: str) -> str:
    asked = ["git", "merge-base", "HEAD", branch]
    done = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _git(root: Path, *arguments: str) -> str:
    asked = ["git", *arguments]
    return subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True).stdout


def main(arguments: list[str]) -> int:
    """Run the tests; returns pytest's exit code, or 0 where nothing changed."""
    try:
        changed = changed_files()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"git cannot say what changed ({error}); run: make test", file=sys.stderr)
        return 2
    tests = owned_tests(changed)
    if not tests:
        print("nothing changed since the main branch: no tests to run")
        return 0
    print(f"{len(changed)} files changed; their quick tests:", *tests, sep="\n  ", flush=True)
    command = [sys.executable, *PYTEST, *arguments, *tests]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
