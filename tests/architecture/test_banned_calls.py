"""Time, ids, randomness, the environment and dynamic code each have one place, or none."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.architecture.product import FACE, Module, Use, imports, modules, report, uses


@dataclass(frozen=True)
class Rule:
    """Names that may be used only in some places, and why."""

    title: str
    banned: Callable[[Use], bool]
    places: frozenset[str] = frozenset()
    rooms: frozenset[str] = frozenset()

    def allows(self, module: Module) -> bool:
        return module.room in self.rooms or module.place in self.places


CLOCK = frozenset(
    {
        *(
            f"time.{name}{unit}"
            for name in ("time", "monotonic", "perf_counter")
            for unit in ("", "_ns")
        ),
        *(f"time.{name}" for name in ("sleep", "localtime", "gmtime", "clock_gettime")),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        "datetime.date.today",
    }
)
IDS = ("uuid", "secrets", "random")
# Types, used to parse an id or to take an injected source; calling random.Random() is refused.
TYPES = frozenset({"uuid.UUID", "random.Random"})
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv")
DYNAMIC = frozenset({"eval", "exec", "__import__", "builtins.eval", "builtins.exec", "yaml.load"})
BANNED_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"})

# Where code may be imported by name: the face and the command line load packages the operator
# named, and a room's __init__ loads its own modules when first used. Never from stored data.
SEAMS = frozenset({"engine/__init__.py", "stores/__init__.py", "executors/__init__.py"})


def makes_id(use: Use) -> bool:
    """Tell whether a use can make an id, a token or a random number."""
    if use.name in TYPES:
        return use.called and use.name == "random.Random"
    return use.name.startswith(tuple(f"{module}." for module in IDS)) and not use.name.startswith(
        "uuid.UUID."
    )


def starts_with(*names: str) -> Callable[[Use], bool]:
    return lambda use: use.name in names or use.name.startswith(tuple(f"{n}." for n in names))


RULES = {
    "clock": Rule(
        "only engine/clock.py reads a clock or sleeps",
        lambda use: use.name in CLOCK,
        places=frozenset({"engine/clock.py"}),
    ),
    "ids": Rule(
        "only engine/ids.py makes ids, tokens and random numbers",
        makes_id,
        places=frozenset({"engine/ids.py"}),
    ),
    "dynamic code": Rule("no code from text", lambda use: use.name in DYNAMIC),
    "environment": Rule(
        "only the command line reads the environment",
        starts_with(*ENVIRONMENT),
        # A program run by shell.run inherits PATH, HOME and a few more, and nothing else.
        places=frozenset({"executors/kinds/shell.py"}),
        rooms=frozenset({"cli"}),
    ),
    "print": Rule(
        "only the command line prints",
        starts_with("print", "builtins.print"),
        rooms=frozenset({"cli"}),
    ),
    "import by name": Rule(
        "nothing is imported by a name found in data",
        starts_with("importlib.import_module"),
        # A child of the process pool imports the module of a live, registered function, whose name
        # multiprocessing hands over when the child starts; it never comes from stored data.
        places=SEAMS | {"engine/package.py"},
        rooms=frozenset({"cli", FACE}),
    ),
}


def breaches(rule: Rule, module: Module) -> list[str]:
    """Give each place where a module breaks a rule."""
    used = [
        f"{module.place}:{use.line} uses {use.name}"
        for use in uses(module.tree)
        if rule.banned(use)
    ]
    return [] if rule.allows(module) else used


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rule_holds(rule: Rule) -> None:
    offenders = [offender for module in modules() for offender in breaches(rule, module)]

    assert not offenders, report(rule.title, offenders)


def test_no_module_that_runs_stored_bytes() -> None:
    offenders = [
        f"{module.place}:{item.line} imports {item.module}"
        for module in modules()
        for item in imports(module.tree)
        if item.module.partition(".")[0] in BANNED_MODULES
    ]

    assert not offenders, report("payloads are JSON", offenders)


LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
# The line of an author's own, with the step before it, in which a % is escaped.
AUTHORS_OWN = "engine/step/step_views.py"


def made_up_formats(tree: ast.AST) -> list[int]:
    """The lines of calls of a logger whose text is made of something, and interpolated again."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and "log" in ast.unparse(node.func.value).lower()
        for message, *values in [node.args[node.func.attr == "log" :]]
        if values and not isinstance(message, ast.Constant)
    ]


def test_data_is_no_format_string() -> None:
    offenders = [
        f"{module.place}:{line}"
        for module in modules()
        for line in made_up_formats(module.tree)
        if module.place != AUTHORS_OWN
    ]

    assert not offenders, report("a log's text is literal, its data are arguments", offenders)
    assert made_up_formats(ast.parse("_log.log(level, f'{step} %s', name)"))
    assert not made_up_formats(ast.parse("_log.warning('%s: %s', step, name)\n_log.info(text)"))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("clock", "import time\nclock = time.monotonic"),
        ("clock", "from datetime import datetime as dt\ndt.now()"),
        ("ids", "from uuid import uuid4\nuuid4().hex"),
        ("ids", "import random\nrandom.Random()"),
        ("dynamic code", "eval('1')"),
        ("environment", "import os\nos.environ['HOME']"),
        ("environment", "from os import environ\nenviron.get('HOME')"),
        ("print", "print('hello')"),
        ("import by name", "import importlib\nimportlib.import_module('x')"),
    ],
)
def test_rule_sees(rule: str, source: str) -> None:
    assert any(RULES[rule].banned(use) for use in uses(ast.parse(source)))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("clock", "clock.now()"),
        ("ids", "import random\ndef wait(source: random.Random) -> float: ..."),
        ("ids", "import uuid\nuuid.UUID('0' * 32).hex"),
        ("dynamic code", "statement.exec()"),
        ("print", "console.print('hello')"),
    ],
)
def test_rule_lets_pass(rule: str, source: str) -> None:
    assert not any(RULES[rule].banned(use) for use in uses(ast.parse(source)))
