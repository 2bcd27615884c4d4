from invoke import task

from common.temp.tasks import temp_clean, temp_status  # noqa: F401

ARTEFACTS = ["build", "dist", ".tmp", "*.egg-info"]


@task
def tidy(c):
    """Remove what builds leave."""
    c.run("rm -rf " + " ".join(ARTEFACTS))
    c.run("rm -rf .tmp/old")
