"""Git repositories in scratch: which of their work exists nowhere else."""
