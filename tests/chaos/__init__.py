"""Faults on purpose: what is promised, measured while things break."""
