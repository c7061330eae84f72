"""A prediction of any model as a job: what can be said before, its tasks, what it publishes."""
