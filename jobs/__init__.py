"""What was asked, where it stands, where it runs."""
