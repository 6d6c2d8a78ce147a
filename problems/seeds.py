"""A seed out of a text, so that what is drawn for a network depends on nothing else."""

import hashlib


def seed_of(text: str) -> int:
    """The seed that stands for a text: the same one everywhere, and another for another text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
