"""`make quick`: the unit tests of what changed, in less than a minute.

What changed is what git says: the commits of this branch that the main branch does not have, and
what is not committed yet. Each wing of a room has the tests that say soonest whether it still
works; `make test` has all of them. A test module that changed is run as well. When more changed
than fits into a minute, what takes longest is left out, and named at the end.
"""

from __future__ import annotations

import os
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
DURABLE = tuple(
    f"tests/engine/durable/test_{name}.py" for name in ("do", "messages", "recording", "waits")
)
# What is changed, how many seconds of one core its tests take, and which these are. The longest
# beginning of a path that is here counts.
OWNERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "engine/": (
        4,
        (
            "tests/engine/test_clock.py",
            "tests/engine/test_ids.py",
            "tests/engine/test_package.py",
            "tests/engine/test_retry.py",
            "tests/engine/test_settings.py",
            "tests/engine/test_signature.py",
            "tests/engine/test_states.py",
        ),
    ),
    "engine/graph/": (7, ("tests/engine/test_graph.py", "tests/engine/test_shapes.py")),
    "engine/payloads/": (4, ("tests/engine/test_payload.py", "tests/engine/test_payload_types.py")),
    "engine/checkpoints/": (
        7,
        ("tests/engine/test_checkpoint_text.py", "tests/stores/test_checkpoints_file.py"),
    ),
    "engine/durable/": (20, DURABLE),
    "engine/step/": (16, ("tests/engine/test_context.py", "tests/engine/test_execution.py")),
    "engine/worker/": (16, ("tests/engine/worker",)),
    "engine/runtime/": (10, ("tests/engine/test_runtime.py",)),
    "stores/": (9, ("tests/stores/test_sqlite.py", "tests/stores/test_sqlite_files.py")),
    "stores/artifacts/": (3, ("tests/stores/test_artifact_stores.py",)),
    "stores/checkpoints/": (5, ("tests/stores/test_checkpoints_file.py",)),
    "stores/projections/": (
        7,
        (
            "tests/stores/test_projections.py",
            "tests/stores/test_projections_postgres_sql.py",
        ),
    ),
    # Not the conformance suite, which takes minutes.
    "stores/sql/": (
        15,
        (
            "tests/stores/test_group_commit.py",
            "tests/stores/test_handoff.py",
            "tests/stores/test_migrations.py",
            "tests/stores/test_run_cache.py",
            "tests/stores/test_sqlite.py",
        ),
    ),
    "executors/": (
        9,
        ("tests/executors/test_registry.py", "tests/executors/test_supervisor.py"),
    ),
    "executors/kinds/": (
        5,
        (
            "tests/executors/test_http.py",
            "tests/executors/test_shell.py",
            "tests/executors/test_subrun.py",
            "tests/executors/test_wait_kinds.py",
        ),
    ),
    "executors/pools/": (
        3,
        (
            "tests/executors/test_pools.py",
            "tests/executors/test_tasks.py",
            "tests/executors/test_threads.py",
        ),
    ),
    "stepwell/": (10, ("tests/architecture/test_face.py", "tests/features")),
    "testing/": (
        8,
        (
            "tests/plugin/test_plugin.py",
            "tests/plugin/test_step_context.py",
            "tests/plugin/test_stepwell_runtime.py",
        ),
    ),
    "cli/": (
        20,
        (
            "tests/cli/test_apps.py",
            "tests/cli/test_graph.py",
            "tests/cli/test_help.py",
            "tests/cli/test_inputs.py",
            "tests/cli/test_output.py",
            "tests/cli/test_settings.py",
        ),
    ),
    "samples/": (15, ("tests/samples/test_programs.py",)),
    "docs/": (5, ("tests/docs/test_reference.py", "tests/docs/test_guarantees.py")),
    "tools/": (5, ("tests/tools",)),
    "Makefile": (5, ("tests/tools",)),
}
# What all tests that are chosen may take, in seconds: the rest of the minute is for starting.
BUDGET = 45
# What a test module that changed is taken to need.
OF_A_MODULE = 5
# Tests that take longer than a minute, or break things on purpose: for `make test` alone.
LONG = ("tests/trust/", "tests/postgres/", "tests/acceptance/", "tests/planted/", "tests/docs/")


def chosen(changed: Iterable[str], cores: int, root: Path = ROOT) -> tuple[list[str], list[str]]:
    """What is run for these files, each test once, and what is left out as it takes too long.

    The tests that take least come first; for no files at all there are none.
    """
    costs: dict[tuple[str, ...], int] = {}
    for path in sorted(changed):
        costs[ALWAYS] = 0
        owners = [start for start in OWNERS if path.startswith(start)]
        if owners:
            cost, tests = OWNERS[max(owners, key=len)]
            costs[tests] = cost
        elif _is_quick_test(path) and (root / path).is_file():
            costs[path,] = OF_A_MODULE
    run: dict[str, None] = {}
    left_out: dict[str, None] = {}
    budget = BUDGET * cores
    for tests, cost in sorted(costs.items(), key=lambda item: item[1]):
        budget -= cost
        (run if budget >= 0 or not run.keys() - set(ALWAYS) else left_out).update(
            dict.fromkeys(tests)
        )
    return [test for test in run if not _is_inside(test, run)], [*left_out.keys() - run.keys()]


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
    tests, left_out = chosen(changed, os.cpu_count() or 1)
    if not tests:
        print("nothing changed since the main branch: no tests to run")
        return 0
    print(f"{len(changed)} files changed; their quick tests:", *tests, sep="\n  ", flush=True)
    command = [sys.executable, *PYTEST, *arguments, *tests]
    ended = subprocess.run(command, cwd=ROOT, check=False).returncode
    if left_out:
        print("too much changed for a minute; left to make test:", *sorted(left_out), sep="\n  ")
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
