"""MultiVI (Ashuach et al. 2023): the network and loss of scvi-tools behind this project's protocol."""
