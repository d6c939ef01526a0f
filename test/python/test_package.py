import hwgq


def test_imports():
    assert hwgq.__doc__
