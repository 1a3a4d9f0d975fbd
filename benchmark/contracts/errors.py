"""Errors a user can mend: one line that names the value, what is allowed and the next step."""


class UsageError(Exception):
    """Input the suite cannot work with; the command line prints it as one line and exits with 2."""


class DataMissingError(UsageError):
    """A dataset's files are not where they were looked for."""


class NonFiniteLossError(Exception):
    """Training produced a loss that is not a number; the cell's status becomes `nonfinite`."""


class CallError(Exception):
    """A call in another process failed; the text is the line that says how."""
