"""Moves code off the temporary directories that it makes by hand, as far as it can be proved right.

`command` is what the task calls. `engine` goes through files; the modules in `rules` say what they
find in one, and propose edits; `edits` is the one place that applies them.
"""
