# case: options TK001
# case: left TK001:6 add tempkeep to the dependencies of this project
from .helpers import get_temp_dir


OUT = get_temp_dir("a")
