"""Walking, removing and comparing one directory tree through file descriptors."""
