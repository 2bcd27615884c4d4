from app import building


def test_build(monkeypatch):
    calls = []
    monkeypatch.setattr(building.subprocess, "run", lambda command, check: calls.append(" ".join(command)))
    building.build("x")
    assert calls[0].startswith("build x -o /")
