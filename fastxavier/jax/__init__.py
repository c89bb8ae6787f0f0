"""JAX's habits over fastxavier: `jax.nn.initializers` under its own names, and whole trees.

``from fastxavier.jax import glorot_normal`` replaces ``from jax.nn.initializers import
glorot_normal``. jax is imported with this package, and not by ``import fastxavier``.
"""

from fastxavier.jax._draw import draw
from fastxavier.jax._initializers import *  # noqa: F403
from fastxavier.jax._initializers import __all__ as _initializers
from fastxavier.jax._model import init_, named_leaves

__all__ = ["draw", "init_", "named_leaves"]
__all__ += _initializers
