"""The exceptions that a command turns into one line."""


class WorkerFailed(RuntimeError):
    """A worker process could not do its work or died, for want of memory perhaps."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or option, says what is wrong and what to do.
    Command lines print it on standard error and exit with status 2.
    """


class TrainingDiverged(RuntimeError):
    """The loss is not finite any more; the message says since which step and what to try."""


class Stopped(BaseException):
    """A run was stopped by a signal; the message says how to go on.

    It is no Exception, as KeyboardInterrupt is none: nothing may take it for a failure.
    """

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.signum = signum
