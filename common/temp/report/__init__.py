"""What commands print: a module for each format, and for each thing that is reported.

The formats of `temp-status` are listed in `commands/status_formats.py`, and their words in
`choices.py`.
"""
