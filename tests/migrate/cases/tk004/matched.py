# case: left TK004:6 needs a str
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        match d:
            case "/tmp":
                pass
