# case: left TK190:4 without saying which rule and why
import tempfile

with tempfile.TemporaryDirectory() as d:  # tempkeep: keep
    print(d)
