"""scMVP (Li et al. 2022): a joint view of genes and peaks with a mixture prior, from the paper."""
