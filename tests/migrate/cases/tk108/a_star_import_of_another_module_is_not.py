from os import *

print(getcwd(), "tempfile")
