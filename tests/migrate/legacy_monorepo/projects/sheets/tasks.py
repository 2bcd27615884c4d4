"""Tasks of sheets."""

from invoke import task


@task
def lint(c):
    """Look for what is wrong."""
    c.run("python -m compileall -q src")
