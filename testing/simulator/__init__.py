"""A deterministic simulator: many workers, all kinds of faults, and the same trace for each seed.

`simulate(package, input, seeds=range(100))` runs your package in it. Engine, worker and SQLite
store are the real ones; the order of threads, the clock and the errors of the disk follow from the
seed. Like all of `stepwell.testing`, it needs pytest.
"""

from stepwell.testing.simulator.faults import Faults
from stepwell.testing.simulator.simulate import Simulated, SimulateOptions, simulate

__all__ = ["Faults", "SimulateOptions", "Simulated", "simulate"]
