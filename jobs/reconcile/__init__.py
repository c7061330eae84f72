"""What the runner says and the store shows against what we recorded, settled."""
