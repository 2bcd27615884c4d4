# case: options unsafe TK001
from .helpers import get_temp_dir

OUT = get_temp_dir("a")
