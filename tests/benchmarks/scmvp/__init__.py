"""What scMVP costs at the sizes its paper names, and what its embedding is worth on labelled cells."""
