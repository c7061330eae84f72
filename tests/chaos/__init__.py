"""Faults on purpose: what must hold while things break."""
