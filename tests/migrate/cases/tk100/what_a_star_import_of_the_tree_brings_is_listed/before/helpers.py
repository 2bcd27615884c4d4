import os
import tempfile
from tempfile import mkdtemp

NAMES = os.listdir(tempfile.gettempdir()), mkdtemp
