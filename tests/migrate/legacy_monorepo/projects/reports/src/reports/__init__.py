"""What each photo is."""
