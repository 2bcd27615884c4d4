# case: options unsafe TK008
from common.temp import temp_working_dir

def build(make):
	with temp_working_dir("build") as work_path:
		work = str(work_path)
		# here
		make(work + "/x")
