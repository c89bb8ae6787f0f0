"""The asv suite: what each commit takes. FASTXAVIER_BENCH=full lengthens the axes."""
