# case: options TK901
# case: left TK901:3 a collection of its own
from invoke import task


@task
def build(c):
    c.run("make")


ns = Collection(build)
