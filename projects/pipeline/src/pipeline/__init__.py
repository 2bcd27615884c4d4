"""Turns a text into a script, a tone track and a research table, in runs kept by a policy."""
