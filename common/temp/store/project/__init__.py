"""Finding the project of a directory, its root, and what git tracks there."""
