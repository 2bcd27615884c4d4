from unittest.mock import patch

import copying


def test_copied():
    with patch("copying.shutil") as fake:
        copying.copied()
    assert fake.copy.call_args.args[1] + "/"
