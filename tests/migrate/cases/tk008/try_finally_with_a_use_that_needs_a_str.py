# case: options unsafe TK008
import shutil
import tempfile

def build(make):
	work = tempfile.mkdtemp(prefix="build-")
	try:
		# here
		make(work + "/x")
	finally:
		shutil.rmtree(work)
