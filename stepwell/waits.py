"""Descriptions of waits for `step.wait_any` and `step.wait_all`, and what those give."""

from stepwell.engine.durable.descriptions import (
    Answer,
    Approval,
    Description,
    Ended,
    Message,
    RunEnd,
    Sleep,
    Value,
)

__all__ = [
    "Answer",
    "Approval",
    "Description",
    "Ended",
    "Message",
    "RunEnd",
    "Sleep",
    "Value",
]
