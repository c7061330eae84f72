"""Who is told when a job or an import ends: an inbox, e-mail and webhooks."""
