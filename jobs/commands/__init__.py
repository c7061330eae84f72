"""What the `crossview` command does, one command or two a file; the words it takes are in `jobs.cli`."""
