"""What each task does, without invoke: one module for each task.

The tasks parse and exit, `store` touches the disk, and `core` decides. These modules combine them:
they choose the roots, scan, judge, draft, carry out and print. Every task waits for the imports of
its command, so what only some commands need is imported where it is used.
"""
