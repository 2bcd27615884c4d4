"""Worker processes that share the work of a scan or a removal, or finish it in the background."""
