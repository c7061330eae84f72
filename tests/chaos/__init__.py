"""Faults at random beside a stream of real jobs, and what is left of the promises: `python -m tests.chaos`."""
