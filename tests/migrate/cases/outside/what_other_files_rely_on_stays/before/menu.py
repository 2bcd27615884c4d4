import inspect

import actions

print([name for name, _ in inspect.getmembers(actions, inspect.isfunction)])
