"""What a search found, read from the archive alone."""
