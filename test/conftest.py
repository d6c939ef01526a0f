"""What all pytest runs share: sharding, so that several processes take a part each."""

def pytest_addoption(parser):
    parser.addoption("--shard", default="0/1", metavar="I/N", help="only every N-th test, from the I-th")


def pytest_collection_modifyitems(config, items):
    index, count = map(int, config.getoption("--shard").split("/"))
    kept = [item for number, item in enumerate(items) if number % count == index]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept
