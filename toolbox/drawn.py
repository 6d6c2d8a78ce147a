"""The type of how many are drawn for one, in an operator's signature: more would never end."""

from typing import Annotated

from annotated_types import Ge, Le

Drawn = Annotated[int, Ge(1), Le(10_000)]
