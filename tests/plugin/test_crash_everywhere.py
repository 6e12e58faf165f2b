"""`crash_everywhere` finds what does not survive a crash, and lets pass what does."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stepwell import InvalidInput, Package, Permanent, RunBuilder, RunHandle, StepContext
from stepwell.cli.main import command_line
from stepwell.engine.crash_points import Stage
from stepwell.testing import CrashEverywhere, VirtualRuntime
from stepwell.testing.crashes import crash_everywhere as crash_in_a_folder_of_its_own
from tests.plugin.packages import Order, ask, bank, careful, careless, patient

ORDER = Order(id="o1", cents=500)


@pytest.fixture(autouse=True)
def _a_new_bank() -> Iterator[None]:
    bank.reset()
    yield
    bank.reset()


def observed() -> list[int]:
    return list(bank.charges)


def test_a_careful_package_survives_every_crash(crash_everywhere: CrashEverywhere) -> None:
    survived = crash_everywhere(careful, ORDER, observe=observed, reset=bank.reset)

    assert survived.end["observed"] == [500]
    steps = survived.end["run"]["steps"]
    assert steps["pay"]["records"] == {"paid/o1": {"receipt": "receipt 500"}}
    assert steps["pay"]["emitted"] == ["thank"]
    assert steps["thank"]["value"] == "thank you for o1"
    assert survived.points == (
        "before the body of step 'pay'",
        "before operation 'charge' of step 'pay'",
        "after operation 'charge' of step 'pay' was done and before it was recorded",
        "after operation 'charge' of step 'pay' was recorded",
        "after the body of step 'pay' and before its end was settled",
        "after the end of step 'pay' was settled",
        "before the body of step 'thank'",
        "before operation 'text' of step 'thank'",
        "after operation 'text' of step 'thank' was done and before it was recorded",
        "after operation 'text' of step 'thank' was recorded",
        "after the body of step 'thank' and before its end was settled",
        "after the failed attempt of step 'thank' was settled",
        "before the body of step 'thank' (the 2nd time)",
        "after the body of step 'thank' and before its end was settled (the 2nd time)",
        "after the end of step 'thank' was settled",
    )


def test_every_stage_of_a_step_is_a_point(crash_everywhere: CrashEverywhere) -> None:
    package = Package("staged")

    def fail() -> None:
        raise ValueError("no")

    @package.workflow
    def staged(step: StepContext) -> int:
        with suppress(ValueError):
            step.do("fails", fail)
        step.sleep(1)
        return step.do("works", int, "1")

    survived = crash_everywhere(staged, packages=[package])

    for stage in Stage:
        wanted = re.compile(stage.of("(operation|step|the end of step) .*"))
        assert any(map(wanted.fullmatch, survived.points)), stage


def test_an_effect_in_the_body_that_is_not_idempotent_is_found(
    crash_everywhere: CrashEverywhere,
) -> None:
    with pytest.raises(AssertionError) as found:
        crash_everywhere(careless, ORDER, entrypoint="body", observe=observed, reset=bank.reset)

    assert str(found.value).splitlines()[:-1] == [
        "crashed after the body of step 'pay' and before its end was settled, and ended "
        "differently",
        "  observed: undisturbed [500], after the crash [500, 500]",
    ]


def test_an_operation_that_is_not_idempotent_is_found(crash_everywhere: CrashEverywhere) -> None:
    with pytest.raises(AssertionError) as found:
        crash_everywhere(
            careless, ORDER, entrypoint="operation", observe=observed, reset=bank.reset
        )

    assert str(found.value).startswith(
        "crashed after operation 'charge' of step 'pay' was done and before it was recorded, and"
    )


def test_a_result_that_depends_on_the_crash_is_found(crash_everywhere: CrashEverywhere) -> None:
    package = Package("counting")

    @package.workflow
    def count(step: StepContext) -> int:
        return step.attempt

    with pytest.raises(AssertionError, match=r"run\.steps\.count\.value: undisturbed 1, .* 2"):
        crash_everywhere(package, entrypoint="count")

    crash_everywhere(package, entrypoint="count", ignore=["run.steps.*.value"])


def test_waits_survive_and_take_no_time(crash_everywhere: CrashEverywhere) -> None:
    def approve(runtime: VirtualRuntime, run: RunHandle[str]) -> None:
        runtime.approve(run.id, by="ann")

    survived = crash_everywhere(
        ask, "bob", packages=[patient], send=[("word", "hello")], during=approve
    )

    assert survived.end["run"]["steps"]["ask"]["value"] == "hello yes by ann"
    assert "after the wait of step 'ask' was settled (the 2nd time)" in survived.points
    assert (
        "after operation 'set_value' of step 'ask' was over and before that was recorded"
        in survived.points
    )


def test_refused_messages_survive(crash_everywhere: CrashEverywhere) -> None:
    package = Package("picky")

    @package.workflow
    def pick(step: StepContext) -> int:
        try:
            return step.receive("number", int)
        except Permanent:
            return step.receive("number", int)

    sent = [("number", "seven"), ("number", 7)]
    end = crash_everywhere(package, entrypoint="pick", send=sent).end["run"]

    assert end["steps"]["pick"]["value"] == 7
    assert [message["refused"] for message in end["messages"].values()] == [True, False]


def test_runs_that_a_run_starts_are_compared_too(crash_everywhere: CrashEverywhere) -> None:
    package = Package("outer")

    @package.entrypoint(name="outer")
    def outer(run: RunBuilder) -> None:
        run.step("run.start", {"package": "outer", "entrypoint": "middle"}, id="sub")

    @package.entrypoint(name="middle")
    def middle(run: RunBuilder) -> None:
        run.step("run.start", {"package": "outer", "entrypoint": "inner"}, id="sub")

    @package.workflow
    def inner(step: StepContext) -> str:
        step.record("seen", "inner", value=True)
        return "innermost"

    end = crash_everywhere(package, entrypoint="outer").end

    assert end["run/sub/sub"]["steps"]["inner"]["value"] == "innermost"
    assert end["run"]["steps"]["sub"]["value"] == {"run_id": "run/sub", "status": "succeeded"}


def test_operations_that_run_beside_each_other_survive(crash_everywhere: CrashEverywhere) -> None:
    package = Package("beside")

    @package.workflow
    def both(step: StepContext) -> int:
        futures = [step.do_async("count", len, word, key=word) for word in ("a", "bc")]
        return sum(future.result() for future in futures)

    survived = crash_everywhere(package, entrypoint="both")

    assert survived.end["run"]["steps"]["both"]["value"] == 3
    assert len(survived.points) == 3 + 2 * 3


def test_no_except_exception_of_an_author_survives_the_crash(
    crash_everywhere: CrashEverywhere,
) -> None:
    package = Package("stubborn")
    calls: list[str] = []

    def clean_up() -> None:
        calls.append("a dead process does nothing")

    @package.workflow
    def stubborn(step: StepContext) -> int:
        try:
            return step.do("a", lambda: 1)
        except Exception:
            return 0
        except BaseException:
            step.do("clean up", clean_up)
            return 0

    crash_everywhere(package, entrypoint="stubborn")

    assert calls == []


def test_a_run_that_waits_for_what_nobody_sends_is_told(crash_everywhere: CrashEverywhere) -> None:
    with pytest.raises(
        AssertionError, match=r"undisturbed: .* waits for a message on topic 'word': give it send="
    ):
        crash_everywhere(ask, "bob", packages=[patient])


def test_effects_that_are_not_reset_are_told(crash_everywhere: CrashEverywhere) -> None:
    with pytest.raises(AssertionError, match=r"undo it in reset=(.|\n)*now \[500\]"):
        crash_everywhere(careful, ORDER, observe=observed)


def test_a_package_that_is_never_the_same_is_told(crash_everywhere: CrashEverywhere) -> None:
    package, numbers = Package("restless"), itertools.count()

    @package.workflow
    def restless(step: StepContext) -> int:
        return next(numbers)

    with pytest.raises(AssertionError, match=r"two undisturbed runs ended differently(.|\n)*0"):
        crash_everywhere(package, entrypoint="restless")


def test_a_point_that_is_not_reached_again_is_told(crash_everywhere: CrashEverywhere) -> None:
    package, numbers = Package("restless"), itertools.count()

    @package.workflow
    def restless(step: StepContext) -> None:
        step.do(f"number {next(numbers)}", int)

    with pytest.raises(AssertionError, match=r"'number 0' .* was not reached again"):
        crash_everywhere(package, entrypoint="restless", ignore=["*.operations"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observ": observed}, "unknown option 'observ'; did you mean 'observe'"),
        ({"ignore": "*.at"}, "ignore: must be a list of patterns"),
        ({"ends": "paused"}, "ends: must be one of 'succeeded', 'failed', 'canceled', got 'p"),
    ],
)
def test_bad_options_are_refused_by_name(
    crash_everywhere: CrashEverywhere, options: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        crash_everywhere(careful, ORDER, **options)


def test_the_store_of_the_run_that_went_wrong_is_kept(
    crash_everywhere: CrashEverywhere, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError) as found:
        crash_everywhere(careless, ORDER, entrypoint="body", observe=observed, reset=bank.reset)

    kept = [folder for folder in tmp_path.iterdir() if folder.name.startswith("crash-")]
    assert [(folder / "engine.db").is_file() for folder in kept] == [True]
    place = f"sqlite:///{kept[0]}/engine.db"
    last = str(found.value).splitlines()[-1]
    assert last == f"  its store: stepwell --store {place} show crash"
    shown = CliRunner().invoke(command_line, last.partition(": stepwell ")[2].split())
    assert (shown.exit_code, "careless" in shown.output) == (0, True)


def test_a_store_that_is_gone_is_not_named() -> None:
    with pytest.raises(AssertionError) as found:
        crash_in_a_folder_of_its_own(
            careless, ORDER, entrypoint="body", observe=observed, reset=bank.reset
        )

    assert "its store" not in str(found.value)


def failing(error: Exception) -> Package:
    """A package whose workflow `fail` never works."""
    package = Package("broken")

    @package.workflow
    def fail(step: StepContext) -> None:
        raise error

    return package


def test_a_package_that_never_works_is_told(crash_everywhere: CrashEverywhere) -> None:
    package = failing(Permanent("no_paper", "the tray is empty"))

    with pytest.raises(AssertionError) as found:
        crash_everywhere(package, entrypoint="fail")

    first, last = str(found.value).splitlines()
    assert first == (
        "the undisturbed run failed: no_paper the tray is empty of step 'fail'; "
        'if that is how it has to end: ends="failed"'
    )
    assert last.endswith("/undisturbed/engine.db show crash")


def test_a_package_that_has_to_fail_may(crash_everywhere: CrashEverywhere) -> None:
    package = failing(Permanent("no_paper", "the tray is empty"))

    survived = crash_everywhere(package, entrypoint="fail", ends="failed")

    assert survived.end["run"]["status"] == "failed"
    with pytest.raises(AssertionError, match="ended 'failed', and ends='canceled' was given"):
        crash_everywhere(package, entrypoint="fail", ends="canceled")


def test_a_run_that_was_canceled_is_told(crash_everywhere: CrashEverywhere) -> None:
    def cancel(runtime: VirtualRuntime, run: RunHandle[str]) -> None:
        runtime.cancel_run(run.id)

    with pytest.raises(AssertionError, match="the undisturbed run was canceled"):
        crash_everywhere(ask, "bob", packages=[patient], during=cancel)

    survived = crash_everywhere(ask, "bob", packages=[patient], during=cancel, ends="canceled")
    assert survived.end["run"]["status"] == "canceled"


def test_a_wait_that_timed_out_asks_for_what_ends_it(crash_everywhere: CrashEverywhere) -> None:
    expected = (
        "the undisturbed run ended in wait_timeout .* of step 'ask': give it send= or during="
    )
    with pytest.raises(AssertionError, match=expected):
        crash_everywhere(ask, "bob", packages=[patient], send=[("word", "hello")])


def test_the_function_alone_leaves_nothing() -> None:
    survived = crash_in_a_folder_of_its_own(
        ask,
        "bob",
        packages=[patient],
        send=[("word", "x")],
        during=lambda runtime, run: runtime.reject(run.id, by="eve"),
    )

    assert survived.end["run"]["steps"]["ask"]["value"] == "x no by eve"


class _Page(BaseHTTPRequestHandler):
    """A page that tells another date each time it is asked."""

    asked = itertools.count()

    def do_GET(self) -> None:
        body = b"a page"
        self.send_response_only(200)
        self.send_header("Date", f"Mon, 30 Nov 2026 00:00:{next(self.asked) % 60:02} GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def approve(runtime: VirtualRuntime, run: RunHandle[Any]) -> None:
    runtime.approve(run.id, by="ann", comment="good")


@pytest.mark.parametrize(
    ("kind", "input", "options", "value"),
    [
        ("shell.run", {"argv": ["echo", "hi"]}, {}, {"exit_code": 0, "stdout_tail": "hi\n"}),
        ("shell.run", {"argv": ["sh", "-c", "exit 3"]}, {"ends": "failed"}, None),
        ("http.fetch", {"url": "PAGE"}, {}, {"status": 200}),
        ("run.start", {"package": "built", "entrypoint": "inner"}, {}, {"status": "succeeded"}),
        ("wait.sleep", {"seconds": 60}, {}, None),
        ("wait.message", {"topic": "t"}, {"send": [("t", {"n": 1})]}, {"n": 1}),
        ("wait.message", {"topic": "t", "timeout": 5}, {"ends": "failed"}, None),
        ("wait.approval", {}, {"during": approve}, {"approved": True, "by": "ann"}),
    ],
)
def test_the_built_in_kinds_survive(
    crash_everywhere: CrashEverywhere,
    page: str,
    kind: str,
    input: dict[str, Any],
    options: dict[str, Any],
    value: dict[str, Any] | None,
) -> None:
    package = Package("built")
    given = {name: page if item == "PAGE" else item for name, item in input.items()}

    @package.entrypoint(name="start")
    def start(run: RunBuilder) -> None:
        run.step(kind, given, id="step")

    @package.workflow
    def inner() -> str:
        return "done"

    survived = crash_everywhere(package, entrypoint="start", **options)

    found = survived.end["run"]["steps"]["step"]["value"]
    assert (found if value is None else {name: found[name] for name in value}) == value
