"""Where attempts run: this machine, or a Ray cluster."""
