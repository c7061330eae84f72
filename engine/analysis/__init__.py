"""What a lab does with a joint view: clusters, imputation, mixing, markers, links, trajectories; raw and imputed."""
