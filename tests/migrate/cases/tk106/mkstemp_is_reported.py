# case: left TK106:5 a temporary file that is not deleted
import os
import tempfile

handle, name = tempfile.mkstemp()
os.close(handle)
