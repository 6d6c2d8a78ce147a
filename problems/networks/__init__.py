"""Torch twins of the search spaces: an architecture becomes an nn.Module."""
