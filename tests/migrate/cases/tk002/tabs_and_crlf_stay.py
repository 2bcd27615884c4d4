# case: options TK002
import time
import pathlib

def get_temp_dir(prefix='temp'):
	base = pathlib.Path('.tmp')
	base.mkdir(exist_ok=True)
	path = base / f'{prefix}_{int(time.time())}'
	path.mkdir()
	return path
