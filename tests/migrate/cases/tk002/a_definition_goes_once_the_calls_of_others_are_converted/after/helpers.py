# case: options unsafe


def other() -> int:
    return 1
