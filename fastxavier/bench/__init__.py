"""The comparison with other libraries. Only the command ``fastxavier bench`` imports it."""
