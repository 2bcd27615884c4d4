from common.temp import (
    TempManager,
    pytest_temp_dirs,
    temp_working_dir,
)

print(TempManager, temp_working_dir)


def test_copy():
    with pytest_temp_dirs(
        2, ["source", "target"]
    ) as (source, target):
        assert source != target
