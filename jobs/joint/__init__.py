"""The joint view as a job: its tasks, what it publishes, and what can be said before it is asked for."""
