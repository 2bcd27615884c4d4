# case: options TK901
from common.temp.tasks import (  # noqa: F401
    clean,
    temp_adopt,
    temp_check,
    temp_clean,
    temp_explain,
    temp_migrate,
    temp_pin,
    temp_report,
    temp_restore,
    temp_schedule,
    temp_status,
    temp_unpin,
)
from invoke import task


@task
def build(c):
    c.run("make")
