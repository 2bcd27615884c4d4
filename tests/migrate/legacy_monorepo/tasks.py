from invoke import task


@task
def test(c):
    """Run all tests."""
    c.run("python -m pytest")
