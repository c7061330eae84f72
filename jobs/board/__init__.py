"""The list of jobs as people keep it: searched, labelled, starred, acted on in bulk, asked for again."""
