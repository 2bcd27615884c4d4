import helpers

for number in range(3):
    helpers.get_temp_dir(f"runs/{number}")
