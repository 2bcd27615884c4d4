"""One sweep: `prepare` makes the plan, `sweep` carries it out, and `ways` has each disposal."""
