"""The commands behind the tasks, without invoke: one module for each task.

The tasks parse and exit, `store` touches the disk, and `core` decides. These modules combine them:
they choose the roots, scan, judge, draft, carry out and print. Imports delay the start of a task,
so modules that only some commands need are imported where they are used.
"""
