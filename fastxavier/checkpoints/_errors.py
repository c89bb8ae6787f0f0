"""The error that every module of this package raises."""

from fastxavier._validation import ArgumentError


class CheckpointError(ArgumentError, ValueError):
    """A checkpoint file or a list of tensors that is not valid, or a file that cannot be made."""
