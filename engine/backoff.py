"""The delays of a retry policy, computed by tenacity's strategies. Loaded on first use."""

from __future__ import annotations

from tenacity import RetryCallState, wait_exponential, wait_fixed, wait_incrementing
from tenacity.wait import wait_base


def seconds(kind: str, attempt: int, initial: float, maximum: float, multiplier: float) -> float:
    """The delay after failed attempt number `attempt` (from 1), in seconds, without jitter."""
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # only the number is read
    state.attempt_number = attempt
    strategy: wait_base
    if kind == "fixed":
        strategy = wait_fixed(min(initial, maximum))
    elif kind == "linear":
        strategy = wait_incrementing(start=initial, increment=initial, max=maximum)
    else:
        strategy = wait_exponential(multiplier=initial, max=maximum, exp_base=multiplier)
    return strategy(state)
