"""Training as a job: its tasks, its curve and checkpoints in the store, and what can be said before it is asked for."""
