try:
    from common.temp import temp_working_dir
    HAVE_TEMP = True
except ImportError:
    from .plain import plain_dir as temp_working_dir
    HAVE_TEMP = False
