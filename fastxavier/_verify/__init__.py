"""Verification: does an array hold draws of a distribution, a model those of its plan?

`verify` is the function that users call; its parts are the modules of this package.
"""

from fastxavier._verify.api import verify
from fastxavier._verify.report import Finding, ModelVerification, Verification

__all__ = ["Finding", "ModelVerification", "Verification", "verify"]
