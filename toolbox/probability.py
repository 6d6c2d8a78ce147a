"""The type of a probability in an operator's signature, so that declarations are checked."""

from typing import Annotated

from annotated_types import Ge, Le

Probability = Annotated[float, Ge(0), Le(1)]
