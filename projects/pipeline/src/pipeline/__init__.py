"""A text as a script, a tone track and a research table, in runs that are kept by policy."""
