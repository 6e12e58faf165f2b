"""The log of Stepwell and of executors, on stderr, for commands that run steps."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from stepwell.cli.output import clean
from stepwell.cli.session import Session


class LineFormatter(logging.Formatter):
    """One line per record, with unprintable characters escaped; a traceback keeps its lines."""

    def __init__(self, session: Session) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._with_hints = session.with_hints

    def format(self, record: logging.LogRecord) -> str:
        text = self._with_hints(super().format(record))
        return clean(text, lines=bool(record.exc_info))


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current sys.stderr, which a live display may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _not_an_event(record: logging.LogRecord) -> bool:
    return record.name != "stepwell"


def show_log(session: Session, *, events: bool, quiet: bool) -> None:
    """Show the log on stderr; with `events`, including the events of runs and steps.

    `quiet` shows errors only.
    """
    logger = logging.getLogger("stepwell")
    for handler in tuple(logger.handlers):
        if isinstance(handler, _Stderr):
            logger.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(LineFormatter(session))
    if not events:
        handler.addFilter(_not_an_event)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.ERROR if quiet else logging.INFO if events else logging.WARNING)
