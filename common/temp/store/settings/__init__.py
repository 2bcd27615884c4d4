"""The settings of a root: their keys, how each value is read, and where it comes from."""
