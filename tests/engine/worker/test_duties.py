"""What a worker does besides steps: when, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from stepwell.engine.errors import RuntimeClosed, StoreError
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.worker.duty import Duty
from tests.engine.worker.worker_by_hand import Shop


@pytest.fixture
def package() -> Iterator[Package]:
    package = Package("p")
    package.executor("ok")(lambda: "ok")

    @package.entrypoint
    def start(run: RunBuilder, kinds: list[str]) -> None:
        for number, kind in enumerate(kinds):
            run.step(kind, id=f"{kind}{number}")

    yield package
    while Shop.opened:
        Shop.opened.pop().store.close()


class Done:
    """A duty that counts how often it was done, and fails the next `failing` times."""

    def __init__(self, failing: int = 0, error: Exception | None = None) -> None:
        self.times = 0
        self.failing = failing
        self.error = error or ValueError("no ink")
        self.found = False

    def __call__(self) -> bool:
        self.times += 1
        if self.failing:
            self.failing -= 1
            raise self.error
        return self.found


def pass_seconds(shop: Shop, seconds: int) -> None:
    for _ in range(seconds):
        shop.clock.advance(timedelta(seconds=1))
        shop.worker.cycle()


def test_is_done_at_first_and_then_as_often_as_it_says(package: Package) -> None:
    done = Done()
    shop = Shop(package, duties=[Duty("sweep", 60, done)])

    shop.worker.cycle()
    assert done.times == 1

    pass_seconds(shop, 59)
    assert done.times == 1
    pass_seconds(shop, 61)
    assert done.times == 3


def test_is_done_at_each_look_if_it_says_so(package: Package) -> None:
    done = Done()
    shop = Shop(package, duties=[Duty("look", 0, done)])

    pass_seconds(shop, 3)

    assert done.times == 3


def test_one_that_fails_is_told_and_tried_again_and_the_steps_go_on(
    package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    # given a duty that fails twice
    done = Done(failing=2)
    shop = Shop(package, duties=[Duty("sweep", 3_600, done)])
    shop.start(["ok"])

    # when
    shop.worker.cycle()

    # then its worker claims all the same
    assert shop.statuses() == [("running", 1)]
    assert "duty 'sweep' failed: no ink" in caplog.text
    assert caplog.records[-1].__dict__["action"] == "duty_failed"

    # and it is done again, before it is due
    pass_seconds(shop, 60)
    assert done.times == 3


def test_one_that_fails_at_each_look_does_not_stop_the_worker(package: Package) -> None:
    shop = Shop(package, duties=[Duty("look", 0, Done(failing=10**6))])
    shop.start(["ok"])

    pass_seconds(shop, 2)

    assert shop.statuses() == [("running", 1)]


def test_trouble_of_the_store_is_waited_out_as_ever(
    package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    done = Done(failing=1, error=StoreError("out of reach"))
    shop = Shop(package, duties=[Duty("sweep", 3_600, done)])

    shop.worker.cycle()
    pass_seconds(shop, 2)

    assert done.times == 2
    assert "out of reach; trying again" in caplog.text


def test_a_closed_runtime_ends_the_worker(package: Package) -> None:
    shop = Shop(package, duties=[Duty("sweep", 60, Done(1, RuntimeClosed("closed")))])

    with pytest.raises(RuntimeClosed, match="closed"):
        shop.worker.cycle()


def test_what_it_found_is_claimed_at_once(package: Package) -> None:
    # given a worker that has looked, and found nothing
    done = Done()
    shop = Shop(package, duties=[Duty("schedules", 60, done)])
    shop.worker.cycle()
    assert not shop.worker.cycle()

    # when a duty says that there is something now
    done.found = True
    shop.start(["ok"])
    shop.clock.advance(timedelta(seconds=60))
    shop.worker.cycle()

    # then it is claimed without a wake-up
    assert shop.statuses() == [("running", 1)]


def test_a_renewal_that_goes_on_failing_drops_the_steps_in_time(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a mistake of the program where leases are renewed
    shop = Shop(package, lease=9)
    shop.start(["ok"])
    shop.worker.cycle()
    (task,) = shop.pool.tasks
    task.begin()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shop.store, "renew", broken)

    # when, then
    shop.cycles(task)
    assert shop.pool.canceled == [task]
    assert shop.clock.monotonic() < 9
