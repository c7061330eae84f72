"""Cells brought in: what is asked for and its order, the import of one file, and how it is stopped."""
