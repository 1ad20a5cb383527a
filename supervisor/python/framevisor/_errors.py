"""What can go wrong between a script and a project."""


class Error(Exception):
    """Base of all errors of this module."""


class NotRunning(Error):
    """No supervisor answers for the project."""


class Invalid(Error):
    """A topology with mistakes; the text lists all of them with their places."""


class TimedOut(Error, TimeoutError):
    """What was waited for did not come; the text tells what is missing."""


class Refused(Error):
    """The supervisor understood and said no."""

    def __init__(self, code, text, hint):
        super().__init__(f"{text}; {hint}" if hint else text)
        #: One word for programs: `worker`, `args`, `stopping`... (docs/protocol.md).
        self.code = code
        self.text = text
        self.hint = hint
