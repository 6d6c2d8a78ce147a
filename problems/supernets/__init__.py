"""Supernets: all networks of a space at once, with shared weights."""

from problems.supernets.shared_chain import SharedChain

SUPERNETS = {
    "shared_chain": SharedChain,
}
