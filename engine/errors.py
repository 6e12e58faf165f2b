"""Every error of Stepwell, and the signals that unwind an execution.

::

    StepwellError                          code, exit_code
    ├── InvalidInput                       bad input, graph, option or payload; nothing was stored
    │   ├── InvalidGraph                   a cycle, a missing or duplicate step
    │   ├── InvalidPayload                 a value that is not JSON, or too large
    │   ├── InvalidPackage                 a package or executor declared wrongly
    │   ├── InvalidSettings                a setting out of range or unknown
    │   └── NotTriggerable                 an entrypoint that may not be started from outside
    ├── NotFound                           no such run, step, artifact, package, kind, queue
    │   └── NoCheckpoint                   no checkpoint of this execution
    ├── Conflict                           the id or key is taken by something else
    │   └── KeyMoved                       … since it was looked up
    ├── RefusedByState                     the run or step is in a state that does not allow it
    ├── WaitTimeout                        waited long enough; the run goes on
    ├── RuntimeClosed                      the runtime was closed or is draining
    ├── StoreError                         the store cannot be opened, read or written
    │   ├── StoreGone                      its file was deleted or replaced while it was open
    │   ├── StoreVersionError              the store is newer than this code
    │   │   └── CheckpointVersionError     the checkpoint is newer than this code
    │   └── CorruptData                    bytes differ from their recorded digest
    │       └── CheckpointCorrupt          a damaged checkpoint; it was left as it is
    ├── LeaseLost                          another worker holds the step now, or it was canceled
    └── StepError                          raised by executors: code, retryable, details, cause
        ├── Retryable
        │   └── RetryAfter                 … after a given delay
        └── Permanent
            └── ReplayMismatch             the code asks for something else than was recorded

    BaseException
    └── Signal                             unwinds one execution; never caught by `except Exception`
        ├── Suspend                        give the slot back until a wait is over
        └── Canceled                       the step was canceled or lost its lease
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, ClassVar

from stepwell.engine.durations import FORMS, Duration, duration_text, read_duration

# The longest delay that may be requested before another attempt.
MAX_DELAY = timedelta(days=366)
# The longest code of a failure, in characters.
MAX_CODE = 200
# How much of another library's error is quoted, in characters.
_LONGEST_SAID = 500
# How much of a value is shown, in characters.
_LONGEST_SHOWN = 80


class StepwellError(Exception):
    """The root of all errors. `code` is stable, for programs; the message is for people."""

    code: str = "stepwell_error"
    exit_code: ClassVar[int] = 1


class InvalidInput(StepwellError):
    """An argument or input is wrong; nothing was stored."""

    code: str = "invalid_input"
    exit_code: ClassVar[int] = 2


class InvalidGraph(InvalidInput):
    """A graph or an emission is invalid; it was refused as a whole."""

    code: str = "invalid_graph"


class InvalidPayload(InvalidInput):
    """A value cannot be represented as JSON, or is larger than the limit."""

    code: str = "invalid_payload"


class InvalidPackage(InvalidInput):
    """A package, entrypoint or executor is declared incorrectly."""

    code: str = "invalid_package"


class InvalidSettings(InvalidInput):
    """A setting is unknown or out of range."""

    code: str = "invalid_settings"


class NotTriggerable(InvalidInput):
    """The author of an entrypoint does not let it be started from outside."""

    code: str = "not_triggerable"


class NotFound(StepwellError):
    """No such run, step, artifact, package, kind or queue exists."""

    code: str = "not_found"
    exit_code: ClassVar[int] = 3


class NoCheckpoint(NotFound):
    """This execution has no checkpoint."""

    code: str = "no_checkpoint"


class Conflict(StepwellError):
    """Something else already has this id."""

    code: str = "conflict"
    exit_code: ClassVar[int] = 4


class KeyMoved(Conflict):
    """A dedup key went to another run since its holder was looked up; start anew."""


class WaitTimeout(StepwellError):
    """The time ran out before the awaited event happened; nothing was stopped."""

    code: str = "wait_timeout"
    exit_code: ClassVar[int] = 5


class RefusedByState(StepwellError):
    """The state of the run or step does not allow this."""

    code: str = "refused_by_state"
    exit_code: ClassVar[int] = 7


class RuntimeClosed(StepwellError):
    """The runtime was closed, or is draining and takes no new work."""

    code: str = "runtime_closed"
    exit_code: ClassVar[int] = 7


class StoreError(StepwellError):
    """The store cannot be opened, read or written.

    `unreachable` means that its server does not answer; it may just be restarting.
    """

    code: str = "store_error"
    exit_code: ClassVar[int] = 8
    unreachable: bool = False


class StoreGone(StoreError):
    """The file of an open store was deleted or replaced; a new file is another store."""

    code: str = "store_gone"


class StoreVersionError(StoreError):
    """The store was written by a newer version; it was not touched."""

    code: str = "store_version"


class CheckpointVersionError(StoreVersionError):
    """The checkpoint was written by a newer version; it was not touched."""

    code: str = "checkpoint_version"


class CorruptData(StoreError):
    """Stored bytes do not match the digest recorded for them."""

    code: str = "corrupt_data"


class CheckpointCorrupt(CorruptData):
    """A checkpoint is damaged: it differs from what was saved. It was left as it is."""

    code: str = "checkpoint_corrupt"


class LeaseLost(StepwellError):
    """The lease is lost: another worker has the step, or it was canceled. Never retried."""

    code: str = "lease_lost"
    exit_code: ClassVar[int] = 7


class StepError(StepwellError):
    """A step's failure, with a stable `code` for metrics and filters.

    A `code` that is not text of 1 to 200 characters is converted rather than refused, so that a
    complaint about it does not hide the author's failure. `details` must be JSON; `retryable` None
    leaves the decision to the retry policy.
    """

    code: str = "step_error"
    retryable: bool | None = None

    def __init__(
        self, code: str, message: str = "", *, details: Mapping[str, Any] | None = None
    ) -> None:
        self.code = _code(code)
        super().__init__(message or self.code)
        self.details = dict(details or {})


class Retryable(StepError):
    """Try again by the retry policy, or by the default `Retry()` where there is none."""

    retryable = True


class RetryAfter(Retryable):
    """Try again after `delay`, a duration, in place of the policy's own delay.

    A negative delay means now: the requested time has passed. Raises InvalidInput for a delay of
    more than 366 days.
    """

    def __init__(
        self,
        delay: Duration,
        code: str = "retry_after",
        message: str = "",
        *,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.delay = _delay(delay)
        super().__init__(code, message or f"retry after {self.delay}", details=details)


class Permanent(StepError):
    """Do not try again, whatever the policy says."""

    retryable = False


class ReplayMismatch(Permanent):
    """The code now asks for another operation than the recorded one; the message names both.

    Restore the code, or give the operation a new name, and retry the step.
    """

    code: str = "replay_mismatch"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(type(self).code, message, details=details)


class Signal(BaseException):
    """Unwinds an execution. A BaseException, so that `except Exception` cannot swallow it."""


class Suspend(Signal):
    """Give the slot back until `wait` (`exchange.Wait`) is over; then the executor runs again."""

    def __init__(self, wait: object) -> None:
        super().__init__("suspended")
        self.wait = wait


class Canceled(Signal):
    """The step was canceled or lost its lease; its outcome would be refused anyway.

    `lost` is the error that a fence raised. The fence may be the author's own, unknown to the
    store: then the attempt fails with this error.
    """

    def __init__(self, message: str = "", *, lost: LeaseLost | None = None) -> None:
        super().__init__(message)
        self.lost = lost


def _code(code: object) -> str:
    try:
        return str(code)[:MAX_CODE] or StepError.code
    except Exception:
        return type(code).__name__[:MAX_CODE]


def _delay(delay: Duration) -> timedelta:
    over = isinstance(delay, (int, float)) and delay < 0
    wait = timedelta(0) if over else read_duration(delay)
    if wait is None or wait > MAX_DELAY:
        raise InvalidInput(
            f"RetryAfter.delay: must be a duration up to {duration_text(MAX_DELAY)} ({FORMS}), "
            f"got {shown(delay)}"
        )
    return max(wait, timedelta(0))


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint for a message: ``; did you mean 'x'?``, or the known names, or nothing."""
    names = sorted(map(str, known))
    text = name if isinstance(name, str) else shown(name)
    close = get_close_matches(text, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if names and len(names) <= 12:
        return f"; there is {', '.join(map(repr, names))}"
    return ""


def one_line(error: object) -> str:
    """The message of a library's error, as one short line: it may quote stored data."""
    said = " ".join(str(error).split()) or type(error).__name__
    if len(said) > _LONGEST_SAID:
        said = said[:_LONGEST_SAID] + "…"
    return _printable(said)


def shown(value: object) -> str:
    """A value as messages quote it, shortened; its `repr` may be huge, or may raise."""
    try:
        said = repr(value)[:_LONGEST_SHOWN]
    except Exception as error:
        said = f"<{type(value).__name__} object whose repr fails: {type(error).__name__}>"
    return _printable(said)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
