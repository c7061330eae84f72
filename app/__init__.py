"""What a person or a client sees. Imports jobs only."""
