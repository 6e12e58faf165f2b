"""What building a graph refuses, word for word, and what it makes of what it takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell.engine.durations import FORMS
from stepwell.engine.errors import InvalidGraph, InvalidInput, InvalidPayload, NotFound
from stepwell.engine.exchange import Edge, NewStep
from stepwell.engine.graph.graph import Graph
from stepwell.engine.model import Dependency, Queue, StepHandle
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.states import Condition
from stepwell.executors.registry import Registry

shop = Package("shop", queues=[Queue("mail")])


class Line(BaseModel):
    item: str
    count: int = 1


@shop.entrypoint
def start() -> None:
    """Never called here."""


@shop.executor("work")
def work(value: Any) -> Any:
    return value


@shop.executor(
    "typed", queue="mail", retry=Retry(max_attempts=4), timeout=9, priority=5, pool="inline"
)
def typed(line: Line) -> str:
    return line.item


@pytest.fixture
def graph() -> Graph:
    return Graph(Registry([shop]), "run", limit=10_000, package="site")


def add(graph: Graph, kind: Any = "work", value: Any = None, **options: Any) -> StepHandle[Any]:
    return graph.add(kind, value, options)  # type: ignore[arg-type]  # wrong ones on purpose


def refusal(act: Callable[[], Any], error: type[Exception] = InvalidGraph) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


class TestTaken:
    def test_what_a_kind_gets_by_default(self, graph: Graph) -> None:
        add(graph, typed, Line(item="pen"), id="a")

        assert graph.finish() == [
            NewStep(
                id="a",
                kind="typed",
                queue="mail",
                input='{"item":"pen","count":1}',
                package="shop",
                priority=5,
                max_attempts=4,
                timeout=9_000_000,
            )
        ]

    def test_what_a_step_says_otherwise(self, graph: Graph) -> None:
        retry = Retry(max_attempts=2, wait="fixed")
        add(
            graph,
            typed,
            {"item": "pen"},
            id="a",
            queue="default",
            retry=retry,
            timeout=timedelta(minutes=1),
            priority=-3,
            dedup_key="once",
            metadata={"k": [1]},
            allow_failure=True,
        )

        (step,) = graph.finish()

        assert (step.queue, step.priority, step.timeout) == ("default", -3, 60_000_000)
        assert step.retry is not None
        assert (Retry.from_json(step.retry), step.max_attempts) == (retry, 2)
        assert (step.dedup_key, step.metadata, step.allow_failure) == ("once", '{"k":[1]}', True)

    def test_automatic_ids_count_by_kind(self, graph: Graph) -> None:
        add(graph, "work", id="work:2")

        handles = [add(graph), add(graph), add(graph, typed, {"item": "pen"})]

        assert [handle.id for handle in handles] == ["work:1", "work:3", "typed:1"]

    def test_automatic_ids_of_children_begin_with_their_parent(self) -> None:
        graph = Graph(Registry([shop]), "emit", limit=100, package="s", parent="scan")

        assert add(graph).id == "scan/work:1"

    def test_kinds_of_no_package_get_the_site_of_the_graph(self, graph: Graph) -> None:
        add(graph, "shell.run", {"argv": ["true"]})

        assert graph.finish()[0].package == "site"

    @pytest.mark.parametrize(
        "after",
        [
            "a",
            StepHandle("a"),
            Dependency("a"),
            Dependency(StepHandle("a"), "succeeded"),
            ["a"],
            (StepHandle("a"),),
            iter(["a"]),
        ],
        ids=lambda value: None,
    )
    def test_ways_to_name_a_dependency(self, graph: Graph, after: Any) -> None:
        add(graph, id="a")
        add(graph, id="b", after=after)

        assert graph.finish()[1].edges == (Edge("a"),)

    def test_conditions_and_subtrees(self, graph: Graph) -> None:
        for name in "abc":
            add(graph, id=name)
        add(
            graph,
            id="d",
            after=[Dependency("a", "finished"), Dependency("b", Condition.FAILED)],
            after_subtree=Dependency("c", "finished"),
        )

        assert graph.finish()[3].edges == (
            Edge("a", Condition.FINISHED),
            Edge("b", Condition.FAILED),
            Edge("c", Condition.FINISHED, subtree=True),
        )

    def test_what_one_step_needs_is_not_what_the_next_one_needs(self, graph: Graph) -> None:
        a, b = add(graph, id="a"), add(graph, id="b")
        needs: list[dict[str, Any]] = [
            {"after": [a]},
            {"after": [a]},
            {"after": [b]},
            {"after": [Dependency(b, "failed")]},
            {"after": [b]},
            {"after": [b], "after_subtree": [a]},
            {"after": []},
            {},
            {"after": [b, a]},
        ]
        for options in needs:
            add(graph, **options)

        assert [step.edges for step in graph.finish()[2:]] == [
            (Edge("a"),),
            (Edge("a"),),
            (Edge("b"),),
            (Edge("b", Condition.FAILED),),
            (Edge("b"),),
            (Edge("b"), Edge("a", subtree=True)),
            (),
            (),
            (Edge("b"), Edge("a")),
        ]

    def test_a_handle_of_no_step_is_refused_however_often_it_is_named(self, graph: Graph) -> None:
        stranger: StepHandle[Any] = StepHandle("stranger")
        add(graph, after=[stranger])
        add(graph, after=[stranger])

        assert "there is no step 'stranger'" in refusal(graph.finish)

    def test_second_step_with_a_dedup_key_is_the_first(self, graph: Graph) -> None:
        first = add(graph, id="a", dedup_key="k")

        second = add(graph, id="b", dedup_key="k")

        assert second == first
        assert [step.id for step in graph.finish()] == ["a"]

    def test_forward_dependencies_without_a_cycle(self, graph: Graph) -> None:
        add(graph, id="c", after=["b", "a"])
        add(graph, id="b", after="a")
        add(graph, id="a")

        assert [step.id for step in graph.finish()] == ["c", "b", "a"]

    def test_unknown_targets_are_left_to_the_store_when_asked(self, graph: Graph) -> None:
        add(graph, id="a", after="stored")

        assert len(graph.finish(known=None)) == 1
        assert len(graph.finish(known={"stored"})) == 1

    def test_graph_that_points_back_is_not_searched(
        self, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stepwell.engine.graph.cycle_search.find_cycle", lambda edges: 1 / 0)
        last = add(graph)
        for _ in range(50):
            last = add(graph, after=last)

        assert len(graph.finish()) == 51


class TestRefused:
    def test_cycle_is_printed(self, graph: Graph) -> None:
        add(graph, id="a", after="c")
        add(graph, id="b", after="a")
        add(graph, id="c", after="b")

        message = refusal(graph.finish)

        assert message == "run: the dependencies form a cycle: a → c → b → a"

    def test_cycle_of_two_beside_other_steps(self, graph: Graph) -> None:
        add(graph, id="first")
        add(graph, id="x", after=["first", "y"])
        add(graph, id="y", after="x")
        add(graph, id="last", after=["x", "y"])

        assert "x → y → x" in refusal(graph.finish) or "y → x → y" in refusal(graph.finish)

    def test_missing_target(self, graph: Graph) -> None:
        add(graph, id="price:pen")
        add(graph, id="b", after="price:pem")

        assert refusal(graph.finish) == (
            "run.step('b').after: there is no step 'price:pem'; did you mean 'price:pen'?"
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"id": "a"}, "run.step('a'): the id is given twice"),
            ({"id": "b", "after": "b"}, "run.step('b').after: the step depends on itself"),
            (
                {"id": "b", "after_subtree": "b"},
                "run.step('b').after_subtree: the step depends on itself",
            ),
            (
                {"id": "b", "after": ["a", "a"]},
                "run.step('b').after: depends on 'a' twice",
            ),
            (
                {"id": "b", "after": "a", "after_subtree": "a"},
                "run.step('b').after_subtree: depends on 'a' twice",
            ),
            (
                {"id": "b", "after": 7},
                "run.step('b').after: must be handles, ids or Dependency(...), got 7",
            ),
            (
                {"id": "b", "after": [7]},
                "run.step('b').after: must hold handles, ids or Dependency(...), got 7",
            ),
            (
                {"id": "b", "after": Dependency("a", "finshed")},
                "run.step('b').after: unknown condition 'finshed'; did you mean 'finished'?",
            ),
            (
                {"id": "b", "queue": "mial"},
                "run.step('b').queue: there is no queue 'mial'; did you mean 'mail'?",
            ),
            (
                {"id": "b", "queue": ["mail"]},
                "run.step('b').queue: there is no queue ['mail']; did you mean 'mail'?",
            ),
            (
                {"id": "b", "retrry": 3},
                "run.step(work): unknown option 'retrry'; did you mean 'retry'?",
            ),
        ],
        ids=lambda value: None,
    )
    def test_graph(self, graph: Graph, options: dict[str, Any], message: str) -> None:
        add(graph, id="a")

        assert refusal(lambda: add(graph, **options)) == message
        assert [step.id for step in graph.steps] == ["a"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"id": ""}, "run.step(work).id: must have 1 to 200 bytes, got an empty string"),
            ({"id": 7}, "run.step(work).id: must be a string, got int"),
            ({"id": "a\n"}, r"run.step(work).id: 'a\n' has the unprintable character '\n'"),
            ({"id": ["x"]}, "run.step(work).id: must be a string, got list"),
            (
                {"id": "b", "after": ""},
                "run.step('b').after: must have 1 to 200 bytes, got an empty string",
            ),
            (
                {"id": "b", "retry": 3},
                "run.step('b').retry: must be a Retry(...), got 3",
            ),
            (
                {"id": "b", "timeout": 0},
                "run.step('b').timeout: must be a duration over 0s and up to 366d "
                f"({FORMS}), got 0",
            ),
            (
                {"id": "b", "timeout": True},
                "run.step('b').timeout: must be a duration over 0s and up to 366d "
                f"({FORMS}), got True",
            ),
            (
                {"id": "b", "timeout": timedelta(days=367)},
                "run.step('b').timeout: must be a duration over 0s and up to 366d "
                f"({FORMS}), got datetime.timedelta(days=367)",
            ),
            (
                {"id": "b", "timeout": float("nan")},
                "run.step('b').timeout: must be a duration over 0s and up to 366d "
                f"({FORMS}), got nan",
            ),
            (
                {"id": "b", "priority": 1.5},
                "run.step('b').priority: must be a whole number from -1000000 to 1000000 "
                "(smaller runs first), got 1.5",
            ),
            (
                {"id": "b", "priority": 1_000_001},
                "run.step('b').priority: must be a whole number from -1000000 to 1000000 "
                "(smaller runs first), got 1000001",
            ),
            (
                {"id": "b", "dedup_key": ""},
                "run.step('b').dedup_key: must have 1 to 200 bytes, got an empty string",
            ),
            (
                {"id": "b", "metadata": [1]},
                "run.step('b').metadata: must be a mapping, got [1]",
            ),
        ],
        ids=lambda value: None,
    )
    def test_option(self, graph: Graph, options: dict[str, Any], message: str) -> None:
        assert refusal(lambda: add(graph, **options), InvalidInput) == message
        assert graph.steps == []

    def test_metadata_that_is_not_json(self, graph: Graph) -> None:
        message = refusal(lambda: add(graph, id="b", metadata={"k": {1}}), InvalidPayload)

        assert message == "run.step('b').metadata.k: a set is not JSON; use a sorted list"

    def test_input_that_is_not_json(self, graph: Graph) -> None:
        message = refusal(lambda: add(graph, "work", {"k": b"x"}, id="b"), InvalidPayload)

        assert message.startswith("run.step('b').input.k: a bytes is not JSON")

    def test_input_over_the_limit(self, graph: Graph) -> None:
        message = refusal(lambda: add(graph, "work", "x" * 10_001, id="b"), InvalidPayload)

        assert message.startswith("run.step('b').input: 10,003 bytes of JSON are over the limit")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({}, "run.step('b').input.item: field required"),
            (
                {"item": "pen", "count": "many"},
                "run.step('b').input.count: input should be a valid integer, unable to parse "
                "string as an integer, got 'many'",
            ),
            (
                7,
                "run.step('b').input: input should be an object, got 7",
            ),
        ],
        ids=lambda value: None,
    )
    def test_input_of_the_wrong_type(self, graph: Graph, value: Any, message: str) -> None:
        assert refusal(lambda: add(graph, typed, value, id="b"), InvalidPayload) == message

    def test_unknown_kind(self, graph: Graph) -> None:
        message = refusal(lambda: add(graph, "typd"), NotFound)

        assert message == "there is no executor 'typd'; did you mean 'typed'?"

    @pytest.mark.parametrize("executor", [None, 7, object(), lambda: None], ids=lambda value: None)
    def test_what_is_no_executor(self, graph: Graph, executor: Any) -> None:
        message = refusal(lambda: add(graph, executor))

        assert message.startswith("run.step: needs an executor or the name of a kind, got ")

    def test_executor_whose_queue_is_unknown(self) -> None:
        package = Package("p")
        package.entrypoint(lambda: None)
        package.executor("lost", queue="nowhere")(lambda: None)
        graph = Graph(Registry([package]), "run", limit=100, package="p")

        assert refusal(lambda: add(graph, "lost")) == (
            "run.step(lost).queue: there is no queue 'nowhere'; there is 'default'"
        )
