from invoke import Collection, task
from tempkeep.tasks import temp_clean


@task
def x(c):
    pass


ns = Collection(x, temp_clean)
