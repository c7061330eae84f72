"""scButterfly-B (Cao et al. 2024): two masked autoencoders and a translator between them; written from the paper."""
