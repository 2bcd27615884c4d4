# case: options TK901
from celery import task  # no invoke


@task
def build(c):
    pass
