"""The exceptions that a command turns into one line."""


class WorkerFailed(RuntimeError):
    """A worker process could not do its work or died, for want of memory perhaps."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or option, says what is wrong and what to do.
    Command lines print it on standard error and exit with status 2.
    """
