"""Decisions: pure functions and small state machines from values to values. No clock, no I/O, no own randomness."""
