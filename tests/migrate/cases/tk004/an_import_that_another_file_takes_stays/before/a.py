# case: left TK100:7 comes by way of utils.py
# case: left TK100:8 comes by way of utils.py
import utils
from utils import tempfile
from utils import TD

x = tempfile.mkdtemp()
y = TD()
print(utils.TDs)
