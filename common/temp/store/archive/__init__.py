"""What is set aside, and put back."""
