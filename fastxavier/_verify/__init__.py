"""Verification: does an array hold draws of a distribution? It reads values and knows no seed or stream."""

from fastxavier._verify.api import verify
from fastxavier._verify.report import Finding, Verification

__all__ = ["Finding", "Verification", "verify"]
