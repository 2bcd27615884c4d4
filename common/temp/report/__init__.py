"""What commands print: a module for each format, and for each thing that is reported.

The formats of `temp-status` are the classes in `commands/status.py` (`_SINKS`); their words are in
`choices.py`.
"""
