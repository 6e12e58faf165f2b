"""What is known of a package, as values: for lists, forms, and programs of others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepwell.engine.executor_options import ENGINE_DEFAULTS
from stepwell.engine.input_schemas import schema_of
from stepwell.engine.model import ExecutorOptions
from stepwell.engine.payloads.payload import decode
from stepwell.engine.ports import Executor
from stepwell.engine.signature import body_of, is_coroutine_function, signature_of


@dataclass(frozen=True, slots=True)
class EntrypointDescription:
    """One entrypoint. `type` is "entrypoint" or "workflow".

    `input_schema` is a JSON Schema: None if it takes no input, empty if it takes any. `trigger` is
    whether `Runtime.trigger` may start it; `tags` are given to each of its runs.
    """

    name: str
    type: str
    title: str
    description: str
    tags: tuple[str, ...]
    trigger: bool
    takes_input: bool
    input_schema: Mapping[str, Any] | None
    max_recoveries: int | None


@dataclass(frozen=True, slots=True)
class ExecutorDescription:
    """One executor, with the defaults of its steps. `retry` has the fields of a `Retry`."""

    kind: str
    description: str
    queue: str
    pool: str
    retry: Mapping[str, Any] | None
    timeout: timedelta | None
    priority: int
    takes_input: bool
    input_schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PackageDescription:
    """One package. `kinds` are those of its `executors`; `queues` are the names of its queues."""

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    entrypoints: tuple[EntrypointDescription, ...]
    kinds: tuple[str, ...]
    executors: tuple[ExecutorDescription, ...]
    queues: tuple[str, ...]


def describe_executor(executor: Executor, defaults: ExecutorOptions) -> ExecutorDescription:
    """All that is known of an executor, a function or an object of the author's own.

    `defaults` are those of its package.
    """
    options = options_of(executor, defaults)
    signature = signature_of(executor)
    return ExecutorDescription(
        kind=executor.kind,
        description=first_paragraph(type(executor) if signature is None else _body(executor)),
        queue=options.queue,
        pool=options.pool or pool_of(executor),
        retry=None if options.retry is None else decode(options.retry.to_json()),
        timeout=options.timeout,
        priority=options.priority,
        takes_input=signature is None or signature.takes_input,
        input_schema={} if signature is None else schema_of(signature),
    )


def options_of(executor: Executor, defaults: ExecutorOptions = ENGINE_DEFAULTS) -> ExecutorOptions:
    """The options of an executor, or the defaults."""
    options = getattr(executor, "options", None)
    return options if isinstance(options, ExecutorOptions) else defaults


def pool_of(executor: Executor) -> str:
    """The name of the pool that runs an executor: as it says, or else as its body needs."""
    pool = options_of(executor).pool
    if pool is not None:
        return pool
    return "asyncio" if is_coroutine_function(_body(executor)) else "thread"


def _body(executor: Any) -> Callable[..., Any]:
    body: Callable[..., Any] = (
        executor.execute if signature_of(executor) is None else executor.function
    )
    return body


def first_paragraph(function: Callable[..., Any]) -> str:
    """The first paragraph of a function's docstring, as one line; empty without one."""
    said = getattr(body_of(function, unwrap=True), "__doc__", None)
    if not isinstance(said, str):
        return ""
    return " ".join(inspect.cleandoc(said).partition("\n\n")[0].split())
