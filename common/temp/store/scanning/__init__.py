"""Scanning a root: its entries, their sizes and times, and what protects them."""
