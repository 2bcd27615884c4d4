# case: options TK901
"""Tasks."""

import sys

from invoke import Context
from invoke.tasks import task as job

from mine import *


@job(name="temp-status")
def status(c: Context):
    pass


@job
def clean(c: Context):
    print(sys.argv)
