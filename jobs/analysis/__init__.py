"""The analyses of cells measured both ways, by command or by job: what was asked, done, and said of it."""
