import factory  # like tempfile


A = factory.mktemp("x")


def test_it(tmp_path_factory):
    tmp_path_factory.mktemp("tempfile")
