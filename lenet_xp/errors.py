"""The one exception that stands for bad input."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or option, says what is wrong and what to do.
    Command lines print it on standard error and exit with status 2.
    """
