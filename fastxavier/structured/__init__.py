"""Structured initializers: they write a tensor as a whole, not value by value."""

from fastxavier.structured._base import StructuredInitializer
from fastxavier.structured.dirac import Dirac
from fastxavier.structured.identity import Identity
from fastxavier.structured.orthogonal import DeltaOrthogonal, Orthogonal
from fastxavier.structured.sparse import Sparse

__all__ = [
    "DeltaOrthogonal",
    "Dirac",
    "Identity",
    "Orthogonal",
    "Sparse",
    "StructuredInitializer",
]
