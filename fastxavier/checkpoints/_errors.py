"""The error of everything in this package."""


class CheckpointError(ValueError):
    """A checkpoint file that is not what it says, or one that cannot be made."""
