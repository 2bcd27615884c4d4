# case: options TK901
from invoke import task
from common.temp.tasks import *


@task
def build(c):
    c.run("make")
