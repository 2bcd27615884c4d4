# case: options TK004
from common.temp import temp_working_dir

from app import x

with temp_working_dir("local") as d:
    print(d, x)
