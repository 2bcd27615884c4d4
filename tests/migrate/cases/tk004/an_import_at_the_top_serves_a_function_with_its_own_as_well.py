import tempfile


def work() -> None:
    with tempfile.TemporaryDirectory():
        pass


def other() -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory():
        pass
