"""What a worker answers to its child process: questions about the store and the packages."""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from stepwell.engine.checkpoints.capabilities import load, record
from stepwell.engine.checkpoints.checkpoint import Checkpoint, CheckpointUpdate, Operation
from stepwell.engine.errors import StepwellError
from stepwell.engine.exchange import ClaimedStep, Wait
from stepwell.engine.payloads.payload import decode
from stepwell.engine.services import DurableServices, Services
from stepwell.executors.pools.process.wire import restore

Header = dict[str, Any]


def answer(services: Services, step: ClaimedStep, header: Header) -> Any:
    """The answer to a question of the child about `step`. Raises what the store raises."""
    return _ANSWERS[header["what"]](services, step, header)


def _artifact(services: Services, step: ClaimedStep, asked: Header) -> Any:  # noqa: ARG001
    ref, body = services.reads.artifact(asked["artifact_id"])
    return ref, None if body is None else b64encode(body).decode()


def _copy_artifact(services: Services, step: ClaimedStep, asked: Header) -> None:  # noqa: ARG001
    """Copy bytes that only this process has into a file that the child has open."""
    with open(asked["path"], "r+b") as target:
        os.unlink(asked["path"])
        with services.artifacts.open(asked["sha256"]) as source:
            shutil.copyfileobj(source, target)


def _build_run(services: Services, step: ClaimedStep, asked: Header) -> Any:  # noqa: ARG001
    value = decode(asked["input"])
    build = (
        copy_context().run
    )  # an entrypoint must not see context variables that another one set in this thread
    return build(services.build_run, asked["package"], value, asked["entrypoint"], asked["run_id"])


def _durable(services: Services) -> DurableServices:
    if services.durable is None:
        raise StepwellError("this execution has no store for durable operations")
    return services.durable


def _load(services: Services, step: ClaimedStep, asked: Header) -> Any:
    return load(_durable(services).checkpointer(step), asked["execution_id"])


def _record(services: Services, step: ClaimedStep, asked: Header) -> Any:
    update = CheckpointUpdate(
        restore(Checkpoint, asked["head"]),
        tuple(restore(Operation, operation) for operation in asked["operations"]),
    )
    return record(_durable(services).checkpointer(step), update)


def _receive(services: Services, step: ClaimedStep, asked: Header) -> Any:
    return _durable(services).messages.receive(step, asked["topic"], asked["operation"])


def _given(services: Services, step: ClaimedStep, asked: Header) -> Any:
    return _durable(services).messages.given(step, asked["operation"])


def _refuse(services: Services, step: ClaimedStep, asked: Header) -> Any:
    _durable(services).messages.refuse(step, asked["operation"], asked["message"])


def _arrivals(services: Services, step: ClaimedStep, asked: Header) -> Any:
    waits = restore(list[Wait], asked["waits"])
    return _durable(services).messages.arrivals(step, waits)


def _take(services: Services, step: ClaimedStep, asked: Header) -> Any:
    messages = [(id_, operation) for id_, operation in asked["messages"]]
    return _durable(services).messages.take(step, messages)


def _set_value(services: Services, step: ClaimedStep, asked: Header) -> Any:
    key, value, operation = asked["key"], asked["value"], asked["operation"]
    return _durable(services).values.set_value(step, key, value, operation)


def _values(services: Services, step: ClaimedStep, asked: Header) -> Any:  # noqa: ARG001
    return _durable(services).values.values(asked["run_id"], asked["key"], asked["last"])


def _kv_set(services: Services, step: ClaimedStep, asked: Header) -> Any:  # noqa: ARG001
    return _durable(services).kv.store.kv_set(
        asked["key"], asked["value"], expires_in=asked["expires_in"], version=asked["version"]
    )


def _kv_delete(services: Services, step: ClaimedStep, asked: Header) -> Any:  # noqa: ARG001
    return _durable(services).kv.store.kv_delete(asked["key"], version=asked["version"])


def _kv_list(services: Services, step: ClaimedStep, asked: Header) -> Any:  # noqa: ARG001
    store = _durable(services).kv.store
    return store.kv_list(asked["prefix"], asked["after"], asked["limit"])


_ANSWERS: dict[str, Callable[[Services, ClaimedStep, Header], Any]] = {
    "dependency_values": lambda services, step, _: services.reads.dependency_values(step),
    "dependency_result": lambda services, step, asked: services.reads.dependency_result(
        step, asked["step_id"]
    ),
    "run_status": lambda services, _, asked: services.reads.run_status(asked["run_id"]),
    "artifact": _artifact,
    "artifact.copy": _copy_artifact,
    "build_run": _build_run,
    "now": lambda services, _, __: _durable(services).now(),
    "checkpoint.load": _load,
    "checkpoint.record": _record,
    "receive": _receive,
    "given": _given,
    "refuse": _refuse,
    "arrivals": _arrivals,
    "take": _take,
    "set_value": _set_value,
    "values": _values,
    "kv_get": lambda services, _, asked: _durable(services).kv.store.kv_get(asked["key"]),
    "kv_set": _kv_set,
    "kv_delete": _kv_delete,
    "kv_list": _kv_list,
}
