"""What each task does, without invoke: one module for each task.

The tasks parse and exit, `store` touches the disk, `core` decides; these modules string them
together: choose the roots, scan, judge, draft, carry out, print. What only some commands need is
imported where they need it, since every task waits for the imports of its command.
"""
