"""Files and rows. Imports nothing of ours."""
