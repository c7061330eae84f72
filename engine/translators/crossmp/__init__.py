"""CrossMP (Lyu et al. 2024): four encoders, two decoders, one latent of 16; written from the paper."""
