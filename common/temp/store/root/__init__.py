"""One root: its settings, its entries, who holds them, pins and history."""
