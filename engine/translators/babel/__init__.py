"""BABEL (Wu et al. 2021): two encoders, two decoders, one latent of 16; written from the paper's description."""
