"""The parts of the run store, one for each role of `engine.ports` or for a piece of one."""
