from a import *

print(tempfile)
