"""A statement or a few for each rule of a store, which break it."""

from __future__ import annotations

from tests.trust.verify.damaged_runs import OF_RUNS
from tests.trust.verify.damaged_steps import OF_STEPS

# The check, what it says (a part of it), and the statements that break its rule.
DAMAGES = [*OF_STEPS, *OF_RUNS]
