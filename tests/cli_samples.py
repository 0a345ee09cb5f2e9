"""How the tests of the command line look at what it wrote."""

from nvcodec.media.source import open_source


def one_error(err):
    """The text of the only line on standard error."""
    assert err.startswith("nvc: error: ") and err.count("\n") == 1, err
    return err.removeprefix("nvc: error: ").rstrip()


def frames_of(path):
    with open_source(path) as source:
        return list(source)
