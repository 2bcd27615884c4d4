"""Claiming entries (`claim`) and removing them (`many_removals`, `named_removal`)."""
