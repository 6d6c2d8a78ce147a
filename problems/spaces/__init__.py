"""Search spaces: genes, encode, decode, canonical, violation.  Stdlib only.

A space has `genes` (a tuple of `Gene`), `slots` (slices of the genome that belong together, one a
layer), `decode(genome) -> architecture`, `encode(architecture) -> genome`,
`canonical(genome) -> genome`, and `violation(genome) -> str`, empty for a network of the space.
`parts` names the genes that belong together, by kind; a space of convolutional networks has
`chain(genome)`, its layers.
"""

from problems.spaces.bit_string import BitString
from problems.spaces.choice_blocks import MobileBlocks, ShuffleBlocks
from problems.spaces.conv_chain import ConvPoolFc, PlainCnn, PooledCnn
from problems.spaces.layer_string import LayerString

SPACES = {
    "bit_string": BitString,
    "conv_pool_fc": ConvPoolFc,
    "layer_string": LayerString,
    "mobile_blocks": MobileBlocks,
    "plain_cnn": PlainCnn,
    "pooled_cnn": PooledCnn,
    "shuffle_blocks": ShuffleBlocks,
}
