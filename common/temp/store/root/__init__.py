"""One root: its settings, entries, owners, leases, pins and history."""
