"""What finished jobs hold, read for pages and clients: tables, values, searches."""
