"""x."""


def import_file():
    pass


def restore():
    pass
