"""The hall between the two wings: searches, and the commands that come after them."""
