from helpers import *

print("no use")
