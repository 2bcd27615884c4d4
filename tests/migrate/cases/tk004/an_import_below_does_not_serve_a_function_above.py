def other() -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory():
        pass


other()
import tempfile

with tempfile.TemporaryDirectory():
    pass
