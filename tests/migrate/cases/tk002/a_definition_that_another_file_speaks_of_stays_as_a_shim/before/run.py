import helpers

print(getattr(helpers, "get_temp_dir"))
