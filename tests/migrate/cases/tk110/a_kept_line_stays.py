import os

os.makedirs(".tmp/cache")  # tempkeep: keep TK110 the cache of another tool
