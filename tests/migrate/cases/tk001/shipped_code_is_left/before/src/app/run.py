# case: options TK001
# case: left TK001:5 (shipped code)
from .helpers import get_temp_dir

OUT = get_temp_dir("a")
