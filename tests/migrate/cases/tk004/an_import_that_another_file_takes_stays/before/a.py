# case: left TK100:7 is imported through utils.py
# case: left TK100:8 is imported through utils.py
import utils
from utils import tempfile
from utils import TD

x = tempfile.mkdtemp()
y = TD()
print(utils.TDs)
