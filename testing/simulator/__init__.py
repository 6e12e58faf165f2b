"""A deterministic simulator: many workers, one seed, every fault, and the same trace each time.

`simulate(package, input, seeds=range(100))` runs a package of yours in it. The engine, the worker
and the SQLite store are the real ones; the threads, the clock and the disk's moods are the seed's.
It needs pytest, as all of `stepwell.testing`.
"""

from stepwell.testing.simulator.faults import Faults
from stepwell.testing.simulator.simulate import Simulated, SimulateOptions, simulate

__all__ = ["Faults", "SimulateOptions", "Simulated", "simulate"]
