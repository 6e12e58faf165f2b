"""Drawings of graphs whose ids try to break out of them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stepwell import Runtime
from stepwell.cli.graph import Drawing, dot, mermaid, tree
from stepwell.cli.svg import layout, svg
from stepwell.engine.model import EdgeRow, Failure, Step
from stepwell.engine.states import Condition, StepStatus
from tests.cli.conftest import CommandLine

EVIL = '"]; <script>alert(1)</script> & \\" --> end'


def step(id: str, status: str = "succeeded", parent: str | None = None) -> Step:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    return Step(
        id=id,
        run_id="r",
        kind="k",
        queue="default",
        status=StepStatus(status),
        priority=0,
        input=None,
        metadata={},
        attempt=1,
        failures=0,
        max_attempts=1,
        pending=0,
        dedup_key=None,
        package="p",
        parent=parent,
        allow_failure=False,
        timeout=None,
        worker=None,
        error=Failure("c", "x\x1b") if status == "failed" else None,
        created_at=at,
        ready_at=at,
        started_at=at,
        ended_at=at,
    )


def edge(target: str, step: str, condition: str = "succeeded", subtree: bool = False) -> EdgeRow:
    return EdgeRow(step, target, Condition(condition), subtree)


def diamond() -> Drawing:
    """A → b, c → d, where b emitted e, and d also waits for a and all of b."""
    return Drawing(
        "p r running",
        [step("a"), step("b"), step("c", "failed"), step("d", "pending"), step("e", parent="b")],
        [
            edge("a", "b"),
            edge("a", "c"),
            edge("c", "d", "finished"),
            edge("a", "d"),
            edge("b", "d", subtree=True),
        ],
    )


def test_layers_are_longest_paths() -> None:
    assert diamond().layers == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 2}


def test_tree_has_every_step_once() -> None:
    assert list(tree(diamond(), str)) == [
        "p r running",
        "└─ a  succeeded  k",
        "   ├─ b  succeeded  k",
        "   │  └─ e  succeeded  k",
        "   └─ c  failed  k",
        "      └─ d  pending  k  ([if finished]; also after a, b [with subtree])",
    ]


def test_a_wide_join_names_only_some() -> None:
    many = [step(f"s{n}") for n in range(9)]
    drawing = Drawing("t", [*many, step("join")], [edge(s.id, "join") for s in many])

    (line,) = (line for line in tree(drawing, str, ascii_only=True) if "join" in line)

    assert line == "|  `- join  succeeded  k  (also after s1, s2, s3 and 5 more)"


def test_a_long_chain_needs_no_recursion() -> None:
    ids = [f"s{n}" for n in range(5_000)]
    drawing = Drawing("t", [step(id) for id in ids], list(map(edge, ids, ids[1:])))

    assert len(list(tree(drawing, str))) == 8
    assert drawing.layers["s4999"] == 4_999


def chain(count: int, status: Callable[[int], str] = lambda n: "succeeded") -> Drawing:
    """s0 → s1 → …"""
    ids = [f"s{n}" for n in range(count)]
    steps = [step(id, status(n)) for n, id in enumerate(ids)]
    return Drawing("t", steps, list(map(edge, ids, ids[1:])))


def test_a_long_chain_is_folded_where_nothing_changes() -> None:
    def status(n: int) -> str:
        return "succeeded" if n < 6_000 else "failed" if n == 6_000 else "canceled"

    lines = [line.strip() for line in tree(chain(10_000, status), str)]

    assert lines == [
        "t",
        *(f"└─ s{n}  succeeded  k" for n in range(3)),
        "└─ … 5,994 steps, each below the one before (5,994 succeeded)",
        *(f"└─ s{n}  succeeded  k" for n in range(5_997, 6_000)),
        "└─ s6000  failed  k",
        *(f"└─ s{n}  canceled  k" for n in range(6_001, 6_004)),
        "└─ … 3,993 steps, each below the one before (3,993 canceled)",
        *(f"└─ s{n}  canceled  k" for n in range(9_997, 10_000)),
    ]


def test_a_short_chain_is_whole() -> None:
    assert len(list(tree(chain(12), str))) == 13


def test_a_chain_that_changes_all_the_time_is_folded_as_one() -> None:
    drawing = chain(10_000, lambda n: "failed" if n % 2 else "succeeded")

    lines = list(tree(drawing, str, ascii_only=True))

    assert len(lines) == 8
    assert lines[4].endswith(
        "`- ... 9,994 steps, each below the one before (4,997 failed, 4,997 succeeded)"
    )


def test_a_deep_tree_is_not_indented_without_end() -> None:
    # given a chain whose every step has another one beside it
    main = [f"s{n}" for n in range(3_000)]
    drawing = Drawing(
        "t",
        [each for id in main for each in (step(id), step(f"{id}:note"))],
        [*map(edge, main, main[1:]), *(edge(id, f"{id}:note") for id in main)],
    )

    lines = list(tree(drawing, str))

    assert len(lines) == 6_001
    assert max(map(len, lines)) < 120
    assert any(line.endswith("─ s2999  succeeded  k  (below s2998)") for line in lines)


def test_mermaid() -> None:
    lines = list(mermaid(diamond()))

    assert lines[0] == "flowchart LR"
    assert '  s2["c"]:::failed' in lines
    assert "  s0 --> s1" in lines
    assert "  s2 -.->|if finished| s3" in lines
    assert "  s1 -->|with subtree| s3" in lines
    assert "  s1 -.->|emits| s4" in lines


def test_mermaid_escapes_ids() -> None:
    (line,) = (line for line in mermaid(Drawing("t", [step(EVIL)], [])) if ":::" in line)

    label = line.removeprefix('  s0["').removesuffix('"]:::succeeded')
    assert not set(label) & set('"[]<>&\\`')
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) == EVIL


def test_dot() -> None:
    lines = list(dot(diamond()))

    assert lines[0] == "digraph run {"
    assert lines[-1] == "}"
    assert '  "c" -> "d" [style=dashed, label="if finished"];' in lines
    assert '  "b" -> "e" [style=dotted, label="emits"];' in lines


def test_dot_escapes_ids() -> None:
    (line,) = (line for line in dot(Drawing("t", [step(EVIL)], [])) if "tooltip" in line)

    quoted = re.match(r'  "((?:[^"\\]|\\.)*)" \[fillcolor=', line)
    assert quoted is not None
    assert quoted[1].replace('\\"', '"').replace("\\\\", "\\") == EVIL


def test_svg_is_well_formed_whatever_the_ids() -> None:
    drawing = Drawing("<title>", [step(EVIL), step("x", "failed")], [edge(EVIL, "x")])

    root = ElementTree.fromstring("\n".join(svg(drawing)))

    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert texts == ["<title>", f"{EVIL} (k) succeeded", "x (k) failed: c: x\\x1b"]
    assert list(root.iter("{http://www.w3.org/2000/svg}script")) == []


def test_svg_columns_are_layers_and_boxes_do_not_overlap() -> None:
    boxes = layout(diamond())

    assert boxes["a"].x < boxes["b"].x == boxes["c"].x < boxes["d"].x == boxes["e"].x
    assert abs(boxes["b"].y - boxes["c"].y) >= 36
    assert abs(boxes["d"].y - boxes["e"].y) >= 36


def test_an_empty_graph() -> None:
    drawing = Drawing("t", [], [])

    assert list(tree(drawing, str)) == ["t"]
    ElementTree.fromstring("\n".join(svg(drawing)))


def test_the_command_writes_each_format(cli: CommandLine, tmp_path: Path) -> None:
    run_id = cli.run("fail=1", code=1)

    assert cli("graph", "last").stdout.splitlines() == [
        f"sample {run_id} failed",
        "└─ fail:0  failed  sample.fail",
        "   └─ after  canceled  sample.ok",
    ]
    assert cli("graph", "last", "--format", "dot").stdout.startswith("digraph run {\n")
    assert cli("graph", "last", "--format", "mermaid").stdout.startswith("flowchart LR\n")
    result = cli("graph", "last", "--format", "svg", "--output", "run.svg")
    assert (result.stdout, result.stderr) == ("", "wrote run.svg\n")
    ElementTree.parse(tmp_path / "run.svg")
    cli("graph", "last", "-o", "tree.txt")
    assert "└─ fail:0  failed" in (tmp_path / "tree.txt").read_text(encoding="utf-8")
    data = cli.json("graph", "last")
    assert data["dependencies"] == [
        {"step": "after", "target": "fail:0", "condition": "succeeded", "subtree": False}
    ]


def test_a_step_that_is_emitted_meanwhile_is_left_out(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.run("ok=2")
    edges = Runtime.edges

    def more(runtime: Runtime, run_id: str) -> list[EdgeRow]:
        late = EdgeRow("late", runtime.steps(run_id)[0].id, Condition.SUCCEEDED, False)
        return [*edges(runtime, run_id), late]

    monkeypatch.setattr(Runtime, "edges", more)

    for form in ("tree", "dot", "mermaid", "svg"):
        drawn = cli("graph", "last", "--format", form)
        assert drawn.exit_code == 0, drawn.stderr
        assert "late" not in drawn.stdout
    assert all(edge["step"] != "late" for edge in cli.json("graph", "last")["dependencies"])
