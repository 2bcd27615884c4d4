from unittest import mock

from app import run


@mock.patch("app.run.tempfile.TemporaryDirectory")
def test_main(fake):
    run.main()
