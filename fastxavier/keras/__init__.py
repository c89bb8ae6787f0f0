"""Keras' habits over fastxavier: `keras.initializers` under its own names, and whole models.

``fastxavier.keras.GlorotUniform`` replaces ``keras.initializers.GlorotUniform``. keras is imported
with this package, and not by ``import fastxavier``.
"""

from fastxavier.keras._initializers import *  # noqa: F403
from fastxavier.keras._initializers import __all__ as _initializers
from fastxavier.keras._initializers import register
from fastxavier.keras._model import init_

__all__ = ["init_"]
__all__ += _initializers

# Without it Keras would put its own class of the same name in the place of one of these whenever a
# layer is cloned or loaded.
register()
