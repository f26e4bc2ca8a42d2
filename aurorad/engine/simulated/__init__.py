"""Pretended hosts in memory, to try a large cluster on a small machine and to test against (docs/simulated.md)."""
