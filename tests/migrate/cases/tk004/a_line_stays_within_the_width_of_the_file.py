import os
import tempfile


def a_function_with_a_name_that_is_as_long_as_the_line_can_take():
    with tempfile.TemporaryDirectory() as directory_with_a_name_of_its_own:
        os.listdir(directory_with_a_name_of_its_own)
