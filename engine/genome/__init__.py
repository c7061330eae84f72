"""Where things lie on the genome: peaks, genes, overlaps, and which genome it is."""
