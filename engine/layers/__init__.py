"""Layers that read and predict as many features as a genome has, at the cost of the entries that are not zero."""
