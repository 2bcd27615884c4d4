"""Which project a directory belongs to, where its root is, and what git tracks there."""
