import importlib

import keeping

print(importlib.import_module("keeping").tempfile.gettempdir(), keeping.kept())
