"""What jobs take of their machines, second by second."""
