"""What stands between raw counts and a network: fitted once on the training cells, carried with the weights."""
