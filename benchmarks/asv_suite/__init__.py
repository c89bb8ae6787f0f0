"""The asv suite: the speed of each commit. FASTXAVIER_BENCH=full runs all dtypes and sizes."""
