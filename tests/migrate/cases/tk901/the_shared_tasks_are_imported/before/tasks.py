# case: options TK901
from invoke import task


@task
def build(c):
    c.run("make")
