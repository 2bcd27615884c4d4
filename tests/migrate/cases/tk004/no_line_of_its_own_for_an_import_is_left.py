# case: left TK004:6 no free line for an import
"""Doc."""; import tempfile


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d)
