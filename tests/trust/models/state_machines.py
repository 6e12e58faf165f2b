"""Playing a state machine as often as `--scale` says."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def play(machine: type[RuleBasedStateMachine], examples: int, acts: int, scale: float) -> None:
    """So many sequences of up to so many acts each: the same ones in every ordinary run."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, round(examples * scale)),
            stateful_step_count=acts,
            deadline=None,
            derandomize=scale == 1,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
