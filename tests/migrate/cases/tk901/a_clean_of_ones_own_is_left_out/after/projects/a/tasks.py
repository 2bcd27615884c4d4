# case: options TK901
"""Tasks."""

import sys

from common.temp.tasks import (  # noqa: F401
    temp_adopt,
    temp_check,
    temp_clean,
    temp_explain,
    temp_migrate,
    temp_pin,
    temp_report,
    temp_restore,
    temp_schedule,
    temp_unpin,
)
from invoke import Context
from invoke.tasks import task as job

from mine import *


@job(name="temp-status")
def status(c: Context):
    pass


@job
def clean(c: Context):
    print(sys.argv)
