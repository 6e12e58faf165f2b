"""Acts as init when the command is process 1 of a container, and runs the command in a child."""

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
    """If this is process 1, return only in a child; otherwise return at once.

    Orphans in its namespace become children of process 1, which alone can reap them; and
    process 1 has no default action for any signal. So the parent only reaps and forwards signals
    until the child ends, and exits with the child's code.
    """
    if os.getpid() != 1 or sys.platform != "linux":
        return
    heard = _PASSED_ON | {signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # children cannot be waited for if it is ignored
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    child = os.fork()
    if child:
        _serve(child, heard)
    # Its own process group in the foreground, so that it alone gets the terminal's signals.
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
    """Make this process's group the foreground group of the terminal, if there is one."""
    ignored = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(0, os.getpgrp())
    finally:
        signal.signal(signal.SIGTTOU, ignored)
