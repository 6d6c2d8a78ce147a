"""Search spaces: genes, encode, decode, canonical, violation.  Stdlib only.

A space has `genes` (a tuple of `Gene`), `slots` (slices of the genome that belong together, one a
layer), `decode(genome) -> architecture`, `encode(architecture) -> genome`,
`canonical(genome) -> genome`, and `violation(genome) -> str`, empty for a network of the space.
"""

from problems.spaces.bit_string import BitString
from problems.spaces.layer_string import LayerString

SPACES = {"bit_string": BitString, "layer_string": LayerString}
