"""Decisions as pure values: entries, layouts, policies and plans. No disk, no clock.

`retention` judges entries by a `policy`: its `limits` choose, its `protections` keep, each with a
reason. `plan` turns verdicts into steps, and `disposal` says what a step does with an entry.
"""
