import common.temp.tasks
from invoke import Collection, task


@task
def x(c):
    pass


ns = Collection(x, common.temp.tasks.temp_clean)
