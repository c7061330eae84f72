"""The analyses on real cells: what they find, as figures with how to get them again."""
