from .dirs import get_temp_dir
