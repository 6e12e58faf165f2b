"""Workflows that leave something behind that never ends, and say when it is there."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from stepwell import Package

endless = Package("endless")


def for_ever() -> NoReturn:
    """Say that it is here, by the pipe, and never return."""
    Path("here").write_text("here")
    while True:
        time.sleep(60)


@endless.workflow
async def in_a_thread_of_the_loop() -> None:
    await asyncio.to_thread(for_ever)


@endless.workflow(pool="thread")
async def in_a_loop_of_its_own() -> None:
    await asyncio.to_thread(for_ever)


@endless.workflow
def in_an_executor() -> None:
    ThreadPoolExecutor().submit(for_ever).result()


@endless.workflow
def in_a_block_with_an_executor() -> None:
    with ThreadPoolExecutor() as executor:
        executor.submit(for_ever)


@endless.workflow
def in_processes_of_an_executor() -> None:
    context = multiprocessing.get_context("fork")
    ProcessPoolExecutor(1, mp_context=context).submit(for_ever).result()


@endless.workflow
def in_a_thread_of_its_own() -> None:
    thread = threading.Thread(target=for_ever)
    thread.start()
    thread.join()


@endless.workflow
def in_a_child_of_multiprocessing() -> None:
    child = multiprocessing.get_context("fork").Process(target=for_ever)
    child.start()
    child.join()


@endless.workflow
def in_a_fork() -> None:
    child = os.fork()
    if child == 0:
        try:
            for_ever()
        finally:
            os._exit(1)
    Path("fork").write_text(str(child))
    os.waitpid(child, 0)


@endless.workflow
async def on_the_loop() -> None:
    for_ever()


@endless.workflow
async def against_its_cancellation() -> None:
    await asyncio.to_thread(Path("here").write_text, "here")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@endless.workflow(pool="inline")
def in_the_workers_thread() -> None:
    for_ever()


@endless.workflow
def behind_a_success() -> str:
    started = threading.Event()

    def late() -> None:
        started.set()
        while True:
            time.sleep(60)

    threading.Thread(target=late).start()
    started.wait()
    return "done"
