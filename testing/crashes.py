"""Runs a package once for each point at which its process can die, and compares the ends."""

from __future__ import annotations

import copy
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import stepwell.stores as stores
from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import InvalidInput, StepwellError, WaitTimeout, nearest, shown
from stepwell.engine.package import Package, Workflow
from stepwell.engine.runtime.run_handle import RunHandle
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.testing.crash_points import Crashed, CrashPoints, MortalClock, TellingStore
from stepwell.testing.end_state import PlayOptions, differences, end_state
from stepwell.testing.virtual import VirtualRuntime, virtual_runtime

RUN_ID = "crash"
_GIVE = ": give it send= or during="
OBSERVED = "observed"
STORE = "engine.db"
UNDISTURBED = "undisturbed"
Ends = Literal["succeeded", "failed", "canceled"]


class CrashOptions(PlayOptions, total=False):
    """What `crash_everywhere` takes besides the package and its input: `PlayOptions`, and these.

    `during(runtime, run)`: called when nothing is ready and a step waits for something from
    outside, for example to approve it. `ends`: how the run must end, if not "succeeded".
    """

    during: Callable[[VirtualRuntime, RunHandle[Any]], object]
    ends: Ends


@dataclass(frozen=True, slots=True)
class Survived:
    """The points at which the package crashed and still came to the same end; that end."""

    points: tuple[str, ...]
    end: dict[str, Any]


def crash_everywhere(
    package: Package | Workflow[Any, Any],
    input: Any = None,
    *,
    folder: Path | None = None,
    **options: Unpack[CrashOptions],
) -> Survived:
    """Crash a package at every possible point, and check that it always ends the same way.

    It first runs undisturbed; then, once for each point it reached, it dies there, is opened again
    on the same store, and continues. Points lie before and after the body and the settle of each
    step, and before, within and after each durable operation. A workflow needs its package in
    `packages`. The stores are kept in `folder`, if given.

    Raises:
        AssertionError: naming the point and each difference, if a crash changed the end; or
            saying why the undisturbed run does not end as it must.
        InvalidInput: for an invalid option.
    """
    unknown = options.keys() - CrashOptions.__annotations__.keys()
    if unknown:
        name = min(unknown)
        close = nearest(name, CrashOptions.__annotations__)
        raise InvalidInput(f"crash_everywhere: unknown option {name!r}{close}")
    with _folder(folder) as place:
        return _Trial(package, input, place, options, is_kept=folder is not None).run()


class _Trial:
    """One package under test, with everything that its run needs."""

    def __init__(
        self, package: Any, input: Any, folder: Path, options: CrashOptions, *, is_kept: bool
    ) -> None:
        self._package = package
        self._input = input
        own = [package] if isinstance(package, Package) else []
        self._packages = [*own, *options.get("packages", ())]
        self._folder = folder
        self._is_kept = is_kept
        self._options = options
        self._ignore = _patterns(options.get("ignore", ()))
        self._ends = _end_wanted(options.get("ends", "succeeded"))
        self._untouched: list[Any] = []
        self._empty_store = self._made_store(folder / STORE)

    def run(self) -> Survived:
        home = self._folder / UNDISTURBED
        points, end = self._undisturbed(home)
        _, again = self._undisturbed(home)
        if changed := differences(end, again, self._ignore):
            raise self._wrong(
                home,
                "two undisturbed runs ended differently, so crashes cannot be judged: name what "
                f"may differ in ignore=[…]\n  {_lines(changed)}",
            )
        for number, point in enumerate(points, start=1):
            home = self._folder / f"crash-{number}"
            crashed = self._crash(point, home)
            if changed := differences(end, crashed, self._ignore):
                what = f"crashed {point}, and ended differently\n  {_lines(changed)}"
                raise self._wrong(home, what)
            shutil.rmtree(home)
        return Survived(tuple(points), end)

    def _undisturbed(self, home: Path) -> tuple[list[str], dict[str, Any]]:
        """The points that a run reaches, and how it ends."""
        self._begin(home)
        clock = MortalClock()
        points = CrashPoints(clock)
        with self._opened(home, clock, points) as runtime:
            self._start(runtime)
            self._drain(runtime, home, UNDISTURBED)
            if why := _ended_otherwise(runtime, self._ends):
                raise self._wrong(home, why)
            return points.seen, self._end(runtime)

    def _crash(self, point: str, home: Path) -> dict[str, Any]:
        """How a run ends after it died at `point` and was opened again."""
        self._begin(home)
        clock = MortalClock()
        points = CrashPoints(clock, deadly=point)
        with self._opened(home, clock, points) as runtime:
            self._start(runtime)
            with suppress(Crashed):
                self._drain(runtime, home, f"on the way to the point {point!r}")
        if clock.died_at is None:
            raise self._wrong(
                home,
                f"the point {point!r} was not reached again: the package does not do the same "
                "in each run, so crashes cannot be judged",
            )
        later = MortalClock(to_datetime(clock.died_at))
        with self._opened(home, later, CrashPoints(later)) as runtime:
            self._drain(runtime, home, f"crashed {point}")
            return self._end(runtime)

    def _made_store(self, path: Path) -> Path:
        """An empty store, to be copied, which is faster than creating one."""
        path.unlink(missing_ok=True)
        # A relaxed commit survives the death of a process as well.
        stores.opening.open_run_store(
            f"sqlite:///{path}", clock=VirtualClock(), durability="relaxed"
        ).close()
        return path

    # --- one run ----------------------------------------------------------------------------

    def _begin(self, home: Path) -> None:
        """Start with an empty store and without outside effects of earlier runs."""
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        shutil.copy(self._empty_store, home)
        reset = self._options.get("reset")
        if reset is not None:
            reset()
        left = self._observed()
        self._untouched = self._untouched or [left]
        if left != self._untouched[0]:
            raise AssertionError(
                "observe() shows what an earlier run did, so runs cannot be compared: undo it in "
                f"reset=…\n  before the first run {self._untouched[0]!r:.200}, now {left!r:.200}"
            )

    @contextmanager
    def _opened(
        self, home: Path, clock: MortalClock, points: CrashPoints
    ) -> Iterator[VirtualRuntime]:
        store = stores.opening.open_run_store(
            f"sqlite:///{home / STORE}", clock=clock, durability="relaxed"
        )
        telling: Any = TellingStore(store, points.reach)
        runtime = virtual_runtime(
            *self._packages,
            clock=clock,
            reach=points.reach,
            store_url=telling,
            home=home,
            settings=self._options.get("settings"),
            app=self._options.get("app"),
        )
        with closing(runtime):
            yield runtime

    def _start(self, runtime: VirtualRuntime) -> None:
        runtime.start_run(
            self._package,
            self._input,
            entrypoint=self._options.get("entrypoint"),
            run_id=RUN_ID,
        )
        for number, (topic, payload) in enumerate(self._options.get("send", ()), start=1):
            runtime.send(RUN_ID, topic, payload, key=f"send-{number}")

    def _drain(self, runtime: VirtualRuntime, home: Path, when: str) -> None:
        during = self._options.get("during")
        run = RunHandle[Any](runtime, runtime.run(RUN_ID))
        try:
            runtime.drain(RUN_ID, during=None if during is None else lambda: during(runtime, run))
        except StepwellError as error:
            hint = _GIVE if isinstance(error, WaitTimeout) and when == UNDISTURBED else ""
            raise self._wrong(home, f"{when}: the run did not end: {error}{hint}") from error

    def _end(self, runtime: VirtualRuntime) -> dict[str, Any]:
        return {**end_state(runtime, RUN_ID), OBSERVED: self._observed()}

    def _wrong(self, home: Path, what: str) -> AssertionError:
        """The error with this message, and with the place of the run's store, if it is kept."""
        if self._is_kept:
            url = shlex.quote(f"sqlite:///{home.absolute() / STORE}")
            what += f"\n  its store: stepwell --store {url} show {RUN_ID}"
        return AssertionError(what)

    def _observed(self) -> Any:
        observe = self._options.get("observe")
        return None if observe is None else copy.deepcopy(observe())


def _ended_otherwise(runtime: VirtualRuntime, wanted: RunStatus) -> str | None:
    """What is wrong with the end of the undisturbed run; None if it ended as it must."""
    status = runtime.run(RUN_ID).status
    if status is wanted:
        return None
    if wanted is not RunStatus.SUCCEEDED:
        return f"the undisturbed run ended {str(status)!r}, and ends={str(wanted)!r} was given"
    if status is RunStatus.CANCELED:
        return 'the undisturbed run was canceled; if that is how it has to end: ends="canceled"'
    reasons, timed_out = [], False
    for step in runtime.steps(RUN_ID, status=StepStatus.FAILED):
        if step.error is not None:
            reasons.append(f"{step.error.code} {step.error.message} of step {step.id!r}")
            timed_out = timed_out or step.error.code == WaitTimeout.code
    why = "; ".join(reasons) or "no step says why"
    if timed_out:
        return f"the undisturbed run ended in {why}{_GIVE}"
    return f'the undisturbed run failed: {why}; if that is how it has to end: ends="failed"'


def _end_wanted(given: str) -> RunStatus:
    if given not in get_args(Ends):
        names = ", ".join(map(repr, get_args(Ends)))
        raise InvalidInput(f"crash_everywhere.ends: must be one of {names}, got {shown(given)}")
    return RunStatus(given)


def _patterns(given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise InvalidInput(f"crash_everywhere.ignore: must be a list of patterns, got {given!r}")
    return tuple(given)


def _lines(changed: Sequence[str]) -> str:
    return "\n  ".join(changed)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="stepwell-") as name:
        yield Path(name)
