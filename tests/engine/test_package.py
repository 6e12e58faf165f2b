"""Packages as their authors declare them, and how a run begins from one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell.engine.errors import InvalidGraph, InvalidInput, InvalidPackage, NotFound
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import ExecutorOptions, Queue
from stepwell.engine.package import Package, check_executor
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext
from stepwell.executors.registry import Registry

shop = Package("shop", title="Web shop")


class Order(BaseModel):
    id: str


@shop.executor("shop.price")
def price(step: StepContext, order: Order) -> int:
    return len(order.id)


def refusal(act: Callable[[], Any], error: type[Exception] = InvalidPackage) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "shop", "Shop-2.x_y", "a" * 100])
    def test_taken(self, name: str) -> None:
        package = Package(name)

        assert (package.name, package.title) == (name, name)
        assert repr(package) == f"<package {name}>"

    @pytest.mark.parametrize("name", ["", "1shop", "shop\n", "a b", "ä", "a" * 101, None, 7, "-"])
    def test_refused(self, name: Any) -> None:
        assert refusal(lambda: Package(name)).startswith(
            "package.name: must be 1 to 100 characters, a letter first"
        )

    def test_title(self) -> None:
        assert shop.title == "Web shop"


class TestExecutors:
    def test_function_is_still_callable(self) -> None:
        assert price(None, Order(id="abc")) == 3  # type: ignore[arg-type]  # it uses no context
        assert (price.kind, price.function.__name__, repr(price)) == (
            "shop.price",
            "price",
            "<executor shop.price>",
        )

    def test_options(self) -> None:
        package, retry = Package("p", queues=[Queue("q")]), Retry()
        executor = package.executor(
            "k", queue="q", retry=retry, timeout=1.5, priority=-1, pool="inline"
        )(lambda: None)

        assert executor.options == ExecutorOptions("q", retry, timedelta(seconds=1.5), -1, "inline")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"retry": 3}, "executor 'k'.retry: must be a Retry(...), got 3"),
            ({"timeout": -1}, "executor 'k'.timeout: must be a duration over 0s and up to"),
            ({"priority": "high"}, "executor 'k'.priority: must be a whole number"),
            ({"pool": 3}, "executor 'k'.pool: must be the name of a pool, got 3"),
        ],
        ids=lambda value: None,
    )
    def test_options_out_of_range(self, options: dict[str, Any], message: str) -> None:
        assert message in refusal(lambda: Package("p").executor("k", **options), InvalidInput)

    def test_kind_that_cannot_be(self) -> None:
        assert "executor.kind: must have 1 to 200 bytes" in refusal(
            lambda: Package("p").executor(""), InvalidInput
        )

    def test_registered_twice(self) -> None:
        assert refusal(lambda: shop.add_executor(price)) == (
            "package 'shop': executor 'shop.price' is registered twice"
        )

    @pytest.mark.parametrize(
        "executor", [None, "kind", lambda step: 1, object(), int], ids=lambda value: None
    )
    def test_what_is_no_executor(self, executor: Any) -> None:
        assert refusal(lambda: check_executor(executor)).startswith(
            "an executor needs a `kind` and a method `execute(step)`, got "
        )

    def test_object_with_wrong_parts(self) -> None:
        class NoMethod:
            kind = "k"
            execute = 3

        class NoKind:
            kind = ""

            def execute(self, step: Any) -> None: ...

        assert refusal(lambda: check_executor(NoMethod())) == (
            "executor 'k': `execute` must be a method"
        )
        assert "executor.kind" in refusal(lambda: check_executor(NoKind()), InvalidInput)
        assert "an executor needs" in refusal(lambda: check_executor(NoKind))

    def test_goes_to_another_process_by_name(self) -> None:
        data = pickle.dumps(price)

        found = pickle.loads(data)

        assert (found.kind, b"lambda" in data) == ("shop.price", False)

    def test_function_in_a_function_cannot_go_to_another_process(self) -> None:
        def local() -> None: ...

        executor = Package("p").executor("k")(local)

        assert "pool='process' needs it at the top level" in refusal(lambda: pickle.dumps(executor))


class TestEntrypoints:
    def test_only_one_needs_no_name(self) -> None:
        package = Package("p")

        @package.entrypoint
        def start(run: RunBuilder) -> None: ...

        assert package.find_entrypoint(None).function is start
        assert package.find_entrypoint("start").name == "start"

    def test_several_are_chosen_by_name(self) -> None:
        package = Package("p")
        package.entrypoint(name="daily")(lambda: None)
        package.entrypoint(name="weekly")(lambda: None)

        assert package.find_entrypoint("weekly").name == "weekly"
        assert refusal(lambda: package.find_entrypoint(None), InvalidInput) == (
            "package 'p' has several entrypoints; choose one of 'daily', 'weekly'"
        )
        assert refusal(lambda: package.find_entrypoint("dayly"), NotFound) == (
            "package 'p' has no entrypoint 'dayly'; did you mean 'daily'?"
        )

    def test_none(self) -> None:
        assert refusal(Package("p").prepare) == (
            "package 'p' has no entrypoint; declare one with @package.entrypoint or "
            "@package.workflow"
        )

    def test_declared_twice(self) -> None:
        package = Package("p")
        package.entrypoint(name="x")(lambda: None)

        assert refusal(lambda: package.entrypoint(name="x")(lambda: None)) == (
            "package 'p': entrypoint 'x' is declared twice"
        )

    def test_coroutine(self) -> None:
        async def start() -> None: ...

        assert refusal(lambda: Package("p").entrypoint(start)) == (
            "package 'p': entrypoint 'start' must be a plain function"
        )

    def test_wrong_signature_of_an_entrypoint_or_executor(self) -> None:
        package = Package("p")
        package.entrypoint(name="x")(lambda a, b, c: None)
        other = Package("q")
        other.entrypoint(name="x")(lambda: None)
        other.executor("k")(lambda a, b, c: None)

        for wrong in (package, other):
            assert "it may take the" in refusal(wrong.prepare)


class TestQueues:
    def test_declared_twice(self) -> None:
        assert refusal(lambda: Package("p", queues=[Queue("q"), Queue("q")])) == (
            "package 'p': queue 'q' is declared twice"
        )

    def test_out_of_range(self) -> None:
        assert "queue 'q'.max_in_flight" in refusal(
            lambda: Package("p", queues=[Queue("q", max_in_flight=0)]), InvalidInput
        )


class TestRunBuilder:
    @pytest.fixture
    def run(self) -> RunBuilder:
        package = Package("p")
        package.entrypoint(name="x")(lambda: None)
        package.executor("work")(lambda: None)
        return RunBuilder(
            Registry([package]), run_id="r", package="p", raw_input='{"a":[1]}', limit=1_000
        )

    def test_run_as_it_is_stored(self, run: RunBuilder) -> None:
        run.name = "nightly"
        run.metadata["k"] = 1
        run.tags.append("t")
        handle = run.step("work", id="a")

        new = run.finish("start")

        assert run.input == {"a": [1]}
        assert handle.id == "a"
        assert (new.id, new.package, new.entrypoint, new.name) == ("r", "p", "start", "nightly")
        assert (new.input, new.metadata, new.tags) == ('{"a":[1]}', '{"k":1}', '["t"]')
        assert [step.id for step in new.steps] == ["a"]

    def test_name_is_the_package_by_default(self, run: RunBuilder) -> None:
        run.step("work")

        assert run.finish("start").name == "p"

    def test_without_a_step(self, run: RunBuilder) -> None:
        assert refusal(lambda: run.finish("start"), InvalidGraph) == (
            "entrypoint 'start' of package 'p' made no step; call run.step(...) at least once"
        )

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("name", "", "run.name: must have 1 to 200 bytes"),
            ("metadata", [1], "run.metadata: must be a dict, got [1]"),
            ("metadata", {"k": {1}}, "run.metadata.k: a set is not JSON"),
            ("tags", "urgent", "run.tags: must be a list of strings, got 'urgent'"),
            ("tags", [7], "run.tags: must be a string, got int"),
        ],
    )
    def test_labels_that_cannot_be(
        self, run: RunBuilder, name: str, value: Any, message: str
    ) -> None:
        run.step("work")
        setattr(run, name, value)

        assert message in refusal(lambda: run.finish("start"), InvalidInput)
