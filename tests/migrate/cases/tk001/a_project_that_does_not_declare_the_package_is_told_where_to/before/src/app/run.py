# case: options unsafe TK001
# case: left TK001:6 first add tempkeep to [project] dependencies of pyproject.toml, or give --write --add-dependency
from .helpers import get_temp_dir


OUT = get_temp_dir("a")
