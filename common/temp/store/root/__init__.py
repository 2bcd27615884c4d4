"""One root: its settings, its entries as they lie, who holds them, pins and history."""
