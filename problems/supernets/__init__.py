"""Supernets: all networks of a space at once, with shared weights."""

from problems.supernets.choice_blocks import ChoiceBlocks
from problems.supernets.shared_chain import SharedChain

SUPERNETS = {
    "choice_blocks": ChoiceBlocks,
    "shared_chain": SharedChain,
}
