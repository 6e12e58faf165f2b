"""Executors with less ceremony: kinds by name, a package's defaults, methods of an object."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any, assert_type

import pytest

from stepwell import (
    ExecutorFunction,
    InvalidInput,
    InvalidPackage,
    Package,
    Queue,
    Retry,
    RunBuilder,
    StepContext,
    connect,
    executor_method,
)
from stepwell.engine.model import ExecutorOptions, StepHandle

POLICY, OTHER = Retry(max_attempts=5), Retry(max_attempts=2)
MINUTE = timedelta(minutes=1)


class TestKinds:
    def test_without_parentheses_it_is_named_like_the_function(self) -> None:
        shop = Package("shop")

        @shop.executor
        def price(order: str) -> int:
            return len(order)

        assert_type(price("abc"), int)
        assert (price.kind, price("abc"), list(shop.executors)) == ("shop.price", 3, ["shop.price"])

    def test_with_options_alone(self) -> None:
        shop = Package("shop")

        @shop.executor(retry=POLICY, timeout="1m")
        async def price(step: StepContext, order: str) -> int:
            return len(order)

        assert price.kind == "shop.price"
        assert price.options == ExecutorOptions(retry=POLICY, timeout=MINUTE)

    def test_with_a_kind(self) -> None:
        shop = Package("shop")

        assert shop.executor("a")(len).kind == "a"
        assert shop.executor(kind="b")(len).kind == "b"
        assert shop.executor()(len).kind == "shop.len"

    def test_the_type_of_its_steps_is_known(self) -> None:
        shop = Package("shop")

        @shop.executor
        def price(order: str) -> int:
            return len(order)

        @shop.executor(priority=1)
        async def pack(order: str) -> str:
            return order

        def build(run: RunBuilder) -> None:
            assert isinstance(price, ExecutorFunction)
            assert_type(run.step(price, "a"), StepHandle[int])
            assert_type(run.step(pack, "a"), StepHandle[str])

        assert callable(build)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (3, r"executor\.kind: must be a string, got int"),
            (lambda: None, "'<lambda>' cannot be part of a kind; give it one"),
            (partial(lambda: None), "'<lambda>' cannot be part of a kind"),
        ],
    )
    def test_what_has_no_name(self, function: Any, message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            Package("shop").executor(function)

    def test_a_name_that_a_workflow_has(self) -> None:
        shop = Package("shop")
        shop.workflow(name="price")(len)

        with pytest.raises(InvalidPackage, match=r"executor 'shop\.price' is registered twice"):
            shop.executor(_price)

    def test_an_unknown_option_with_the_nearest(self) -> None:
        with pytest.raises(InvalidPackage, match=r"unknown option 'retries'.*'retry'"):
            Package("shop").executor("k", retries=3)  # type: ignore[call-overload]  # the point


def _price(order: str) -> int:
    return len(order)


_price.__name__ = "price"


class TestDefaultsOfAPackage:
    def package(self) -> Package:
        return Package(
            "shop",
            queues=[Queue("slow"), Queue("fast")],
            queue="slow",
            retry=POLICY,
            timeout="1m",
            priority=7,
            pool="inline",
        )

    def test_what_is_left_out_is_the_package_s(self) -> None:
        whole = ExecutorOptions("slow", POLICY, MINUTE, 7, "inline")

        shop = self.package()

        assert shop.executor(_price).options == whole
        assert shop.executor("other")(_price).options == whole
        assert shop.workflow(name="whole")(_price).options == whole

    def test_what_an_executor_says_holds_over_it(self) -> None:
        own = {"queue": "fast", "retry": OTHER, "timeout": 5, "priority": 1, "pool": "thread"}
        expected = ExecutorOptions("fast", OTHER, timedelta(seconds=5), 1, "thread")

        shop = self.package()

        assert shop.executor("a", **own)(_price).options == expected  # type: ignore[call-overload]
        assert shop.workflow(name="b", **own)(_price).options == expected  # type: ignore[call-overload]

    def test_none_is_an_answer_of_its_own(self) -> None:
        made = self.package().executor(
            "a", queue=None, retry=None, timeout=None, priority=None, pool=None
        )(_price)

        assert made.options == ExecutorOptions()

    def test_what_a_step_says_holds_over_both(self) -> None:
        shop = self.package()
        shop.executor("left.out")(_price)
        shop.executor("own", retry=OTHER, timeout=None)(_price)

        @shop.entrypoint
        def begin(run: RunBuilder) -> None:
            for kind in ("left.out", "own"):
                run.step(kind, "x", id=kind)
                run.step(kind, "x", id=f"{kind}!", retry=Retry(9), timeout="9s", queue="fast")

        with connect("memory://", packages=[shop]) as runtime:
            steps = {step.id: step for step in runtime.steps(runtime.start_run("shop").id)}

        told = {name: (step.queue, step.max_attempts, step.timeout) for name, step in steps.items()}
        assert told == {
            "left.out": ("slow", 5, MINUTE),
            "left.out!": ("fast", 9, timedelta(seconds=9)),
            "own": ("slow", 2, None),
            "own!": ("fast", 9, timedelta(seconds=9)),
        }

    def test_an_object_without_options_leaves_out_all(self) -> None:
        class Shout:
            kind = "shop.shout"

            def execute(self, step: StepContext) -> None: ...

        shop = self.package()
        shop.add_executor(Shout())
        shop.entrypoint(lambda run: run.step("shop.shout", id="a"))

        with connect("memory://", packages=[shop]) as runtime:
            (step,) = runtime.steps(runtime.start_run("shop").id)

        assert (step.queue, step.max_attempts, step.priority) == ("slow", 5, 7)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"retry": 3}, r"package 'p'\.retry: must be a Retry"),
            ({"timeout": "5 mins"}, r"package 'p'\.timeout: must be a duration"),
            ({"priority": True}, r"package 'p'\.priority: must be a whole number"),
            ({"pool": 3}, r"package 'p'\.pool: must be the name of a pool"),
            ({"queu": "x"}, r"package 'p': unknown option 'queu'; did you mean 'queue'"),
        ],
    )
    def test_out_of_range(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            Package("p", **options)


class Base:
    @executor_method
    def send(self, mail: str) -> str:
        return f"base {mail}"


class Mailer(Base):
    def __init__(self, host: str) -> None:
        self.host = host

    def send(self, mail: str) -> str:
        return f"{self.host} {mail}"

    @executor_method("mail.count", retry=POLICY, timeout="1m")
    async def count(self, step: StepContext, mails: list[str]) -> int:
        await asyncio.sleep(0)
        return len(mails)

    @staticmethod
    @executor_method(pool="inline")
    def check(mail: str) -> bool:
        return "@" in mail

    def other(self) -> None: ...

    @property
    def broken(self) -> None:
        raise AssertionError("nobody asks for it")


class TestMethods:
    def test_they_run_on_their_object(self) -> None:
        shop = Package("shop", priority=3)
        executors = shop.add_executors(Mailer("mx"))

        @shop.entrypoint
        def begin(run: RunBuilder) -> None:
            run.step("shop.send", "hello", id="send")
            run.step("mail.count", ["a", "b"], id="count")
            run.step(executors[2], "a@b", id="check")

        with connect("memory://", packages=[shop]) as runtime:
            run = runtime.start_run("shop")
            runtime.drain(run.id, timeout="30s")
            results = [runtime.result(run.id, id).value for id in ("send", "count", "check")]

        assert [each.kind for each in executors] == ["shop.send", "mail.count", "shop.check"]
        assert results == ["mx hello", 2, True]
        assert executors[1].options == ExecutorOptions("default", POLICY, MINUTE, 3)

    def test_a_method_stays_as_it_is(self) -> None:
        assert_type(Base().send("x"), str)
        assert Base().send("x") == "base x"

    def test_its_input_is_typed(self) -> None:
        shop = Package("shop")
        shop.add_executors(Base())
        shop.entrypoint(lambda run: run.step("shop.send", {"no": "text"}, id="a"))

        refused = pytest.raises(InvalidInput, match=r"run\.step\('a'\)\.input")
        with connect("memory://", packages=[shop]) as runtime, refused:
            runtime.start_run("shop")

    def test_two_objects_in_two_packages(self) -> None:
        packages = [Package("a"), Package("b")]
        for package in packages:
            package.add_executors(Base())

        assert [list(package.executors) for package in packages] == [["a.send"], ["b.send"]]

    def test_the_process_pool_is_refused_by_name(self) -> None:
        class Heavy:
            @executor_method(pool="process")
            def work(self) -> None: ...

        message = r"executor 'p\.(work|send)': .*(work|send) is a method of an object"
        for package, owner in ((Package("p"), Heavy()), (Package("p", pool="process"), Base())):
            with pytest.raises(InvalidPackage, match=message):
                package.add_executors(owner)
            assert package.executors == {}
        bound = Package("p").executor("k", pool="process")(Base().send)
        with pytest.raises(InvalidPackage, match="is a method of an object"):
            bound.__reduce__()

    def test_nothing_is_declared_when_one_is_taken(self) -> None:
        shop = Package("shop")
        shop.executor("mail.count")(len)

        with pytest.raises(InvalidPackage, match=r"'mail\.count' is registered twice"):
            shop.add_executors(Mailer("mx"))
        assert list(shop.executors) == ["mail.count"]

    @pytest.mark.parametrize(
        ("owner", "message"),
        [
            (Mailer, "takes an object, got the class Mailer; make one of it"),
            (object(), "object has no method that is marked with @executor_method"),
        ],
    )
    def test_what_has_no_such_methods(self, owner: object, message: str) -> None:
        with pytest.raises(InvalidPackage, match=message):
            Package("shop").add_executors(owner)

    def test_a_private_method_cannot_be_one(self) -> None:
        with pytest.raises(InvalidPackage, match="'_send' is private"):

            @executor_method
            def _send(self: object) -> None: ...

    def test_options_are_checked_where_they_are_written(self) -> None:
        with pytest.raises(InvalidInput, match=r"executor 'k'\.timeout: must be a duration"):
            executor_method("k", timeout="soon")
        with pytest.raises(InvalidInput, match="unknown option 'tries'"):
            executor_method(tries=3)  # type: ignore[call-overload]  # that is the point

    def test_a_derived_class_may_take_one_away(self) -> None:
        class Silent(Mailer):
            count = None  # type: ignore[assignment]

        package = Package("shop")
        package.add_executors(Silent("mx"))

        assert list(package.executors) == ["shop.send", "shop.check"]
