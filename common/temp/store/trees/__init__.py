"""One tree, by descriptors: walk it, remove it, compare it."""
