"""What is kept, how much of it, for how long, and who did what with it: quotas, clocks, receipts, audit, backups."""
