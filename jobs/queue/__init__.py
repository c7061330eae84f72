"""Who comes next, when, and who may still ask: the order of the jobs that wait."""
