"""One root: its entries, owners, leases, pins and history."""
