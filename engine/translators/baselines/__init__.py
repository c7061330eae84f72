"""Nulls and linear or neighbour models: simple, fast, and hard to beat on few cells."""
