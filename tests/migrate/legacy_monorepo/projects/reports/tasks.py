from invoke import task
from invoke.context import Context


@task
def inspect(c: Context, folder: str) -> None:
    """Report on each photo of a folder."""
    c.run(f"python -m reports {folder}")
