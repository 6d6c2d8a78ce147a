"""How a network is trained: recipe, steps, and several networks in flight."""
