"""See entries, take them, be rid of them."""
