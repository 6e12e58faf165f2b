"""The registry: who runs what, and what is refused."""

from importlib.util import find_spec
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import connect
from stepwell.engine.errors import InvalidInput, InvalidPackage, InvalidPayload, NotFound
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import ExecutorOptions, Queue
from stepwell.engine.package import ExecutorFunction, Package
from stepwell.executors import kinds
from stepwell.executors.registry import Registry


class Order(BaseModel):
    item: str


def package(name: str, *kinds: str, queues: tuple[Queue, ...] = ()) -> Package:
    made = Package(name, queues=queues)

    @made.entrypoint
    def main(run: RunBuilder) -> None: ...

    for kind in kinds:
        made.executor(kind)(lambda: None)
    return made


def free(kind: str, function: Any = lambda: None, **options: Any) -> ExecutorFunction[Any, Any]:
    return ExecutorFunction(kind, function, ExecutorOptions(**options))


class Bare:
    kind = "bare"

    async def execute(self, step: object) -> None: ...


def test_kinds_belong_to_their_package() -> None:
    registry = Registry([package("a", "a.x"), package("b", "b.x")])
    registry.register(free("loose"))

    assert [registry.package_of(k) for k in ("a.x", "b.x", "loose", "shell.run")] == [
        "a",
        "b",
        None,
        None,
    ]
    built_in = {"shell.run", "http.fetch", "run.start", "wait.sleep", "wait.message"}
    assert {"a.x", "b.x", "loose", "wait.approval"} | built_in == set(registry.kinds())
    assert registry.executor("a.x").kind == "a.x"


def test_a_kind_of_two_packages_is_refused_and_nothing_is_taken() -> None:
    registry = Registry([package("a", "x")])

    with pytest.raises(
        InvalidPackage, match=r"'x' is registered twice \(package a and package b\)"
    ):
        registry.add_package(package("b", "y", "x", queues=(Queue("slow"),)))

    assert "y" not in registry.kinds()
    assert "slow" not in registry.queue_names()
    assert list(registry.packages) == ["a"]


def test_other_duplicates_are_refused() -> None:
    pack = package("a", "x")
    registry = Registry([pack])
    registry.add_package(pack)  # the same once more is no other

    with pytest.raises(InvalidPackage, match="package a and no package"):
        registry.register(free("x"))
    with pytest.raises(InvalidPackage, match="built in"):
        registry.register(free("shell.run"))
    with pytest.raises(InvalidPackage, match="package 'a' is registered twice"):
        registry.add_package(package("a"))
    with pytest.raises(InvalidPackage, match="execute"):
        registry.register(object())  # type: ignore[arg-type]
    with pytest.raises(InvalidPackage, match="must hold"):
        registry.add_package("a")  # type: ignore[arg-type]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    registry = Registry([package("shop", "shop.price")])

    with pytest.raises(NotFound, match=r"did you mean 'shop\.price'"):
        registry.executor("shop.prise")
    with pytest.raises(NotFound, match="did you mean 'shop'"):
        registry.package("shap")
    assert registry.package("shop").name == "shop"


@pytest.mark.parametrize("kind", ["shell.run", "http.fetch", "run.start"])
def test_built_in_kinds_load_with_the_options_announced(kind: str) -> None:
    registry = Registry()
    announced = registry.options(kind)

    executor = registry.executor(kind)

    assert isinstance(executor, ExecutorFunction)
    assert executor.kind == kind
    assert executor.options is announced


def test_pools_follow_the_body_unless_said() -> None:
    async def coroutine() -> None: ...

    registry = Registry()
    registry.register(free("plain"))
    registry.register(free("coroutine", coroutine))
    registry.register(free("said", coroutine, pool="thread"))
    registry.register(Bare())

    pools = [registry.pool_name(k) for k in ("plain", "coroutine", "said", "bare", "shell.run")]
    assert pools == ["thread", "asyncio", "thread", "asyncio", "thread"]
    assert registry.options("bare") == ExecutorOptions()


def test_typed_inputs_are_checked() -> None:
    def typed(order: Order) -> None: ...

    registry = Registry()
    registry.register(free("typed", typed))
    registry.register(free("takes none"))
    registry.register(Bare())

    def encoded(kind: str, value: Any) -> str:
        return registry.encode_input(kind, value, "run.input", 1_000)

    for taken in ({"item": "pen"}, Order(item="pen")):
        assert encoded("typed", taken) == '{"item":"pen"}'
    assert encoded("bare", {"a": 1}) == '{"a":1}'
    for kind, value, told in (
        ("typed", {}, r"run\.input\.item: field required"),
        (
            "typed",
            Order.model_construct(item=1),
            r"run\.input\.item: input should be a valid string",
        ),
        ("takes none", 1, r"run\.input: .* has no parameter for an input, got 1"),
    ):
        with pytest.raises(InvalidPayload, match=told):
            encoded(kind, value)


def test_queues() -> None:
    registry = Registry([package("a", queues=(Queue("slow", max_in_flight=1),))])
    registry.define_queue(Queue("slow", max_in_flight=1))
    registry.define_queue(Queue("default", max_in_flight=5))

    assert list(registry.queue_names()) == ["default", "slow"]
    assert registry.queues["default"].max_in_flight == 5
    with pytest.raises(InvalidPackage, match="'slow' is declared twice with different limits"):
        registry.define_queue(Queue("slow", max_in_flight=2))
    with pytest.raises(InvalidInput):
        registry.define_queue(Queue("slow", max_in_flight=0))


def test_a_wrong_signature_is_refused_when_registered() -> None:
    def wrong(step: object, one: int, two: int) -> None: ...

    with pytest.raises(InvalidPackage, match="one input"):
        Registry().register(free("wrong", wrong))


def test_a_package_takes_the_place_of_the_one_of_its_name() -> None:
    # given a package, and what it becomes in the next cell of a notebook
    def typed(order: Order) -> None: ...

    old = package("a", "a.same", "a.gone", queues=(Queue("q", max_in_flight=1),))
    registry = Registry([old, package("b", "b.x")])
    assert registry.encode_input("a.same", None, "input", 100) == "null"
    new = package("a", "a.new", queues=(Queue("q", max_in_flight=2),))
    new.executor("a.same")(typed)

    # when
    with pytest.raises(InvalidPackage, match=r"'a' is registered twice; .* with replace=True"):
        registry.add_package(new)
    registry.add_package(new, replace=True)

    # then nothing is left of the old one
    assert registry.package("a") is new
    assert registry.executor("a.same") is new.executors["a.same"]
    assert registry.queues["q"].max_in_flight == 2
    assert {"a.same", "a.new", "b.x"} <= set(registry.kinds())
    assert "a.gone" not in registry.kinds()
    with pytest.raises(NotFound):
        registry.executor("a.gone")
    with pytest.raises(InvalidPayload):
        registry.encode_input("a.same", 1, "input", 100)


def test_the_same_package_with_more_in_it() -> None:
    pack = package("a", "a.x")
    registry = Registry([pack])
    pack.executor("a.later")(lambda: None)

    registry.add_package(pack)
    assert "a.later" not in registry.kinds()
    registry.add_package(pack, replace=True)

    assert "a.later" in registry.kinds()


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (package("a", "b.x"), r"'b\.x' is registered twice \(package b and package a\)"),
        (package("a", "shell.run"), "built in"),
        (package("a", queues=(Queue("shared", max_in_flight=2),)), "'shared' is declared twice"),
        (package("a", queues=(Queue("given", max_in_flight=2),)), "'given' is declared twice"),
    ],
)
def test_what_others_have_is_not_replaced(new: Package, message: str) -> None:
    old = package("a", "a.x", queues=(Queue("shared"), Queue("given")))
    registry = Registry([old], queues=[Queue("given")])
    registry.add_package(package("b", "b.x", queues=(Queue("shared"),)))

    with pytest.raises(InvalidPackage, match=message):
        registry.add_package(new, replace=True)

    assert registry.package("a") is old
    assert registry.executor("a.x").kind == "a.x"


def test_a_kind_without_its_library_is_refused_before_anything_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a Python without aiohttp
    monkeypatch.setattr(
        kinds, "find_spec", lambda name: None if name == "aiohttp" else find_spec(name)
    )
    pack = Package("p")

    @pack.entrypoint
    def start(run: RunBuilder) -> None:
        run.step("http.fetch", {"url": "http://localhost/"}, id="get")

    with connect("memory://", packages=[pack]) as runtime:
        # when
        with pytest.raises(InvalidInput) as caught:
            runtime.start_run("p")

        # then
        assert str(caught.value) == (
            "run.step('get'): http.fetch cannot run here: it needs aiohttp; "
            "run: pip install 'stepwell[http]'"
        )
        assert runtime.runs() == []
        # … and steps of it that others started are left to workers that can
        assert "http.fetch" not in runtime.kinds
        assert "shell.run" in runtime.kinds
