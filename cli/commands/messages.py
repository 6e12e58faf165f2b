"""`stepwell send`, `messages`, `approve` and `reject`: messages to a run, and decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from stepwell.cli.inputs import json_argument
from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command, by_option
from stepwell.cli.output import json_text
from stepwell.cli.session import Session
from stepwell.engine.errors import nearest
from stepwell.engine.model import Message, Step, StepWait
from stepwell.engine.states import StepStatus

F = TypeVar("F", bound=Callable[..., Any])

# How many waiting steps are examined for their waits.
LOOKED_AT = 1_000
TOPICS_NAMED = 10


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("topic", metavar="TOPIC")
@click.argument("payload", metavar="[JSON|@FILE|-]", required=False)
@click.option("--key", metavar="KEY", help="Of messages with the same key only the first is sent.")
@click.pass_obj
def send(session: Session, run: str, topic: str, payload: str | None, key: str | None) -> None:
    """Send a message to a run.

    A step that waits for it continues; if there is none, the message is kept for the first that
    asks. The payload is JSON, @FILE, or - for stdin; without one it is null. Exit code 7 if the run
    has ended.
    """
    out = session.output
    value = json_argument(payload, "payload")
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        waiting = runtime.steps(run_id, status=StepStatus.WAITING, limit=LOOKED_AT)
        sent = runtime.send(run_id, topic, value, key=key)
    named = (step.id for step in waiting if topic in _topics(step))
    step = next(named, None) if sent else None
    if out.json:
        told = {"run_id": run_id, "topic": topic, "key": key, "sent": sent, "step_id": step}
        out.value(told)
    if not sent:
        out.say(f"a message with key {key!r} was sent to run {run_id} before; this one is not sent")
    elif step is not None:
        out.say(f"step {step} was waiting for it")
    else:
        out.say(_nobody_waits(session, run_id, topic, waiting))


def _waits(step: Step) -> tuple[StepWait, ...]:
    """The single waits of a step."""
    return () if step.wait is None else (step.wait, *step.wait.waits)


def _topics(step: Step) -> list[str]:
    return [wait.topic for wait in _waits(step) if wait.kind == "message" and wait.topic]


def _nobody_waits(session: Session, run_id: str, topic: str, waiting: list[Step]) -> str:
    text = f"no step waits on topic {topic!r} now; the message is kept for the first that does"
    topics = sorted({name for step in waiting for name in _topics(step)})
    if topics:
        more = ", …" if len(topics) > TOPICS_NAMED else ""
        text += f"; steps wait on {', '.join(map(repr, topics[:TOPICS_NAMED]))}{more}"
        close = nearest(topic, topics)
        text += close if "did you mean" in close else ""
    asking = [step.id for step in waiting if any(wait.kind == "approval" for wait in _waits(step))]
    if asking and not topics:
        approve = session.typed("approve", run_id, asking[0])
        text += f"; step {asking[0]} waits for a decision: {approve}"
    return text


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--topic", metavar="TOPIC", help="Only messages on this topic.")
@click.pass_obj
def messages(session: Session, run: str, topic: str | None) -> None:
    """List the messages of a run, in the order they were sent."""
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        found = runtime.messages(run_id, topic)
    if out.json:
        out.value(found)
        return
    out.table(
        ("id", "topic", "received by", "sender", "key", "sent", "payload"),
        [
            (
                *(str(item.id), item.topic, _receiver(item), item.sender or "-"),
                *(item.key or "-", item.created_at, json_text(item.payload, indent=None)),
            )
            for item in found
        ],
    )
    if not found:
        out.say(f"no messages to run {run_id}{'' if topic is None else f' on topic {topic!r}'}")


def _receiver(message: Message) -> str:
    return f"{message.received_by or '-'}{' (refused)' if message.refused else ''}"


def _decision(function: F) -> F:
    """Give a command the arguments and options of a decision."""
    comment = click.option(
        "--comment", metavar="TEXT", default="", help="A comment on the decision."
    )
    function = comment(by_option(function))
    function = click.argument("step", metavar="[STEP]", required=False)(function)
    return click.argument("run", metavar="RUN")(function)


@click.command(cls=Command)
@_decision
@click.pass_obj
def approve(session: Session, run: str, step: str | None, by: str, comment: str) -> None:
    """Approve a step that waits for a decision.

    STEP may be omitted if only one step of the run waits for a decision. Exit code 4 if it was
    decided before, 7 if no step waits for a decision.
    """
    _decide(session, run, step, True, {"by": by, "comment": comment})


@click.command(cls=Command)
@_decision
@click.pass_obj
def reject(session: Session, run: str, step: str | None, by: str, comment: str) -> None:
    """Reject a step that waits for a decision.

    STEP may be omitted if only one step of the run waits for a decision. Exit code 4 if it was
    decided before, 7 if no step waits for a decision.
    """
    _decide(session, run, step, False, {"by": by, "comment": comment})


def _decide(
    session: Session, run: str, step: str | None, approved: bool, who: dict[str, str]
) -> None:
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        act = runtime.approve if approved else runtime.reject
        decided = act(run_id, step, **who)
    session.output.done(
        {"run_id": run_id, "step_id": decided, "approved": approved, **who},
        f"step {decided} of run {run_id} is {'approved' if approved else 'rejected'}",
    )
