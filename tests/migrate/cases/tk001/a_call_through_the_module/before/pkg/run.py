# case: options TK001
from . import dirs
from .other import x

print(dirs.get_temp_dir("a"), x)
