"""Finding the project of a directory, its root and store, and what git tracks there."""
