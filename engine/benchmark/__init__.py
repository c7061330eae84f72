"""Models side by side on one split: entries fitted and scored one by one, then put together as one report."""
