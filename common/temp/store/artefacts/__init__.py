"""Build artefacts: what builds leave in a project."""
