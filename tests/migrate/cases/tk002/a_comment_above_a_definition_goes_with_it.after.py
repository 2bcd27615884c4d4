# case: options unsafe TK002
"""Helpers."""
import time  # noqa: F401

# -- scratch --------------

def other():
    return 1
