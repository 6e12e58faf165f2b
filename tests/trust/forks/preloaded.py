"""A module that connects when it is imported, as programs do that are loaded before a fork."""

import os

from tests.trust.forks.program import open_store, start

runtime = open_store(os.environ["PRELOADED_STORE"])
start(runtime, "preloaded")
