"""One sweep, from the scan to the outcomes."""
