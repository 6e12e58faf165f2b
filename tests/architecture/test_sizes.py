"""Modules and functions stay small enough to be read at one go."""

import ast
from collections.abc import Iterator
from statistics import median

from tests.architecture.product import ROOT, Module, modules, report

MODULE_LINES = 400
TEST_LINES = 500
MEDIAN_LINES = 150
FUNCTION_LINES = 60
PARAMETERS = 7
BANNED_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers"}

# What may be larger, and why. The key is what the message names; an entry that no longer
# matches anything fails, so the list only shrinks unless someone argues for a line.
ALLOWED_MODULES: dict[str, str] = {
    "engine/model.py": "the vocabulary: one small value after another, with what each field means",
    "engine/ports.py": "the contracts; most of it is the text of their rules",
    "engine/runtime/runtime.py": "the public surface: each method of the runtime in one place",
    "engine/step/context.py": "the public surface: each method of a step's context in one place",
}
ALLOWED_TESTS: dict[str, str] = {}
ALLOWED_FUNCTIONS: dict[str, str] = {}
ALLOWED_PARAMETERS: dict[str, str] = {
    "stepwell/composition.py:connect": "the public surface: one keyword for each part of a runtime",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def check(title: str, found: dict[str, str], allowed: dict[str, str]) -> None:
    """Fail for every offender without a reason and every reason without an offender."""
    offenders = [f"{key}: {size}" for key, size in sorted(found.items()) if key not in allowed]
    stale = [f"{key} (no longer needed)" for key in sorted(allowed) if key not in found]

    assert not offenders, report(title, offenders)
    assert not stale, report(f"{title}: stale entries of the allow-list", stale)


def lines(module: Module) -> int:
    return len(module.source.splitlines())


def functions(node: ast.AST, path: str = "") -> Iterator[tuple[str, Function, bool]]:
    """Give every function with its qualified name and whether it is a method."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            name = f"{path}{child.name}"
            yield name, child, isinstance(node, ast.ClassDef)
            yield from functions(child, f"{name}.")
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{path}{child.name}.")
        else:
            yield from functions(child, path)


def length(function: Function) -> int:
    """Count the lines of signature and body; the docstring is free."""
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        whole -= (first.end_lineno or first.lineno) - first.lineno + 1
    return whole


def parameters(function: Function, is_method: bool) -> int:
    """Count what a caller can pass; self and cls are not passed."""
    arguments = function.args
    count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
    count += (arguments.vararg is not None) + (arguments.kwarg is not None)
    static = any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod"
        for decorator in function.decorator_list
    )
    return count - (is_method and not static)


def is_command(function: Function) -> bool:
    """Tell whether a function is a command, which has one parameter per flag."""
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in {"command", "group", "option", "argument"}
        for decorator in function.decorator_list
    )


def test_modules_are_short() -> None:
    found = {
        module.place: f"{lines(module)} lines"
        for module in modules()
        if lines(module) > MODULE_LINES
    }

    check(f"modules over {MODULE_LINES} lines", found, ALLOWED_MODULES)


def test_test_modules_are_short() -> None:
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "tests").rglob("*.py")
    }
    found = {place: f"{size} lines" for place, size in sizes.items() if size > TEST_LINES}

    assert "tests/architecture/test_sizes.py" in sizes
    check(f"test modules over {TEST_LINES} lines", found, ALLOWED_TESTS)


def test_the_median_module_is_short() -> None:
    sizes = sorted(((lines(module), module.place) for module in modules()), reverse=True)
    middle = median(size for size, _ in sizes) if sizes else 0

    longest = [f"{place}: {size} lines" for size, place in sizes[: len(sizes) // 2]]
    assert middle <= MEDIAN_LINES, report(f"the median module has {middle} lines", longest)


def test_functions_are_short() -> None:
    found = {
        f"{module.place}:{name}": f"{length(function)} lines"
        for module in modules()
        for name, function, _ in functions(module.tree)
        if length(function) > FUNCTION_LINES
    }

    check(f"functions over {FUNCTION_LINES} lines", found, ALLOWED_FUNCTIONS)


def test_functions_take_few_parameters() -> None:
    found = {
        f"{module.place}:{name}": f"{parameters(function, is_method)} parameters"
        for module in modules()
        for name, function, is_method in functions(module.tree)
        if parameters(function, is_method) > PARAMETERS
        and not (module.room == "cli" and is_command(function))
    }

    check(f"functions with more than {PARAMETERS} parameters", found, ALLOWED_PARAMETERS)


def test_module_names_say_what_is_inside() -> None:
    offenders = [
        module.place
        for module in modules()
        if BANNED_NAMES & set(module.name.rpartition(".")[2].split("_"))
    ]

    assert not offenders, report("name these by what they hold", offenders)
