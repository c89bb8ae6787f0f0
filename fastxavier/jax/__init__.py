"""JAX's habits over fastxavier: `jax.nn.initializers` under its own names, and whole trees.

``from fastxavier.jax import glorot_normal`` replaces ``from jax.nn.initializers import
glorot_normal``. jax is imported with this package, and not by ``import fastxavier``.
"""

from fastxavier.jax._draw import draw

__all__ = ["draw"]
