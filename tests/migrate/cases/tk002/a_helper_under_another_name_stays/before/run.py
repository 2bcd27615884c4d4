import os

import helpers

make = helpers.get_temp_dir
print(os.path.exists(f"./{make('x')}"))
