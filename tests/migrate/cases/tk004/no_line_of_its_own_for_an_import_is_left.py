# case: left TK004:6 no line of its own
"""Doc."""; import tempfile


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d)
