"""What the census counts in one file."""

import pytest
from code_census.metrics import measure
from code_census.tree import printable, step_id, top_level

from tests.samples.trees import EXPECTED, NAMES, PLAIN


def test_a_file_is_counted_as_a_person_counts_it() -> None:
    counts = measure(PLAIN.encode())

    assert {name: getattr(counts, name) for name in NAMES} == dict(
        zip(NAMES, EXPECTED["plain.py"], strict=True)
    )


@pytest.mark.parametrize(
    ("source", "lines"),
    [(b"", 0), (b"x = 1", 1), (b"x = 1\n", 1), (b"x = 1\r\ny = 2\r\n", 2), (b"\n\n", 2)],
)
def test_lines_end_as_python_ends_them(source: bytes, lines: int) -> None:
    assert measure(source).lines == lines


@pytest.mark.parametrize(
    ("source", "branches", "depth"),
    [
        (b"if a:\n    pass\nelif b:\n    pass\nelse:\n    pass\n", 2, 1),
        (b"if a:\n    pass\nelse:\n    if b:\n        pass\n", 2, 2),
        (b"try:\n    pass\nexcept A:\n    pass\nexcept B:\n    pass\n", 2, 1),
        (b"match a:\n    case 1: pass\n    case _: pass\n", 2, 1),
        (b"x = a if b else c\nassert x\n", 2, 0),
        (b"x = " + b"-" * 90 + b"1\n", 0, 0),
    ],
)
def test_branches_and_depth(source: bytes, branches: int, depth: int) -> None:
    counts = measure(source)

    assert (counts.branches, counts.depth) == (branches, depth)


def test_warnings_of_the_parser_stay_out_of_sight() -> None:
    assert measure(b"x = '\\d'\n").code == 1


def test_ids_are_paths_as_far_as_ids_can_be() -> None:
    assert step_id("file", "json/decoder.py") == "file:json/decoder.py"
    assert step_id("file", "a\nb.py").endswith(r":a\nb.py")
    assert step_id("file", "a\nb.py") != step_id("file", r"a\nb.py")
    long = "ü" * 120 + "/"
    ids = {step_id("file", f"{long}{name}.py") for name in "ab"}
    assert len(ids) == 2
    assert all(len(id.encode()) <= 200 and id.endswith(".py") for id in ids)


def test_the_top_level_is_what_is_imported() -> None:
    assert [top_level(path) for path in ("ast.py", "json/tool.py")] == ["ast", "json"]


def test_what_cannot_be_printed_is_escaped() -> None:
    assert printable("a\x1b[0m\u202e é") == r"a\x1b[0m\u202e é"
