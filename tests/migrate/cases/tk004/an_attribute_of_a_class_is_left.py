# case: left TK004:6 becomes an attribute of the class
import tempfile


class Job:
    with tempfile.TemporaryDirectory() as d:
        print(d)
