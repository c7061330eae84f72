"""From an unknown upload to one clean copy: look before loading, find the counts, keep only what is needed."""

from engine.intake.canonical import CanonicalCells, canonicalise
from engine.intake.child import run_in_child
from engine.intake.counts import find_counts
from engine.intake.limits import Limits
from engine.intake.look import Layout, look
from engine.intake.summary import Summary

__all__ = ["CanonicalCells", "Layout", "Limits", "Summary", "canonicalise", "find_counts", "look", "run_in_child"]
