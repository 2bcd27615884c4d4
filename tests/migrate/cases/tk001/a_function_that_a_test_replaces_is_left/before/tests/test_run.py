import run


def test_main(monkeypatch, tmp_path):
    monkeypatch.setattr("run.get_temp_dir", lambda name: tmp_path)
    assert run.main() == tmp_path
