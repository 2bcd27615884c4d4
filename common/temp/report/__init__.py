"""The output of the commands: a module for each format and for each kind of report.

`commands/status_formats.py` lists the formats of `temp-status`; their words are in `choices.py`.
"""
