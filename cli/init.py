"""As process 1 of a container: an init for the command, which runs in a child."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

_PASSED_ON = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)


def as_process_one() -> None:
    """Return in a child if this is process 1, and at once if it is not.

    Whatever is orphaned in its namespace becomes a child of process 1, which alone can reap it;
    and process 1 has no default for any signal. So the parent does that and nothing else, until
    the child ends, whose exit code it ends with.
    """
    if os.getpid() != 1 or sys.platform != "linux":
        return
    heard = _PASSED_ON | {signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nothing can be waited for
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    child = os.fork()
    if child:
        _serve(child, heard)
    # A group of its own, in front at the terminal: what is typed there is for it alone.
    with suppress(OSError):
        os.setpgid(0, 0)
        _come_to_the_front()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(child: int, heard: frozenset[signal.Signals]) -> NoReturn:
    with suppress(OSError):
        os.setpgid(child, child)
    while True:
        number = signal.sigwaitinfo(heard).si_signo
        if number != signal.SIGCHLD:
            with suppress(OSError):
                os.kill(child, number)
            continue
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    os._exit(code if code >= 0 else 128 - code)


def _come_to_the_front() -> None:
    """Make this process's group the one that the terminal talks to, if there is one."""
    ignored = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(0, os.getpgrp())
    finally:
        signal.signal(signal.SIGTTOU, ignored)
