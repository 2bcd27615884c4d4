"""One sweep: `prepare` makes the plan, `sweep` executes it, and `ways` has each disposal."""
