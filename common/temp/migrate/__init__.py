"""`temp-migrate`: rewrites code that makes temporary directories by hand, where that is safe.

`command` is what the task calls. `engine` goes through files, the modules in `rules` find sites and
propose edits, and `edits` applies them.
"""
