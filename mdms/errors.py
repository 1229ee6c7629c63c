"""What ends a start with one clear line instead of a traceback."""


class CannotStart(Exception):
    """Something that the process needs is missing, taken or wrong; the message is one line for the operator."""

    exit_code = 1


class ConfigError(CannotStart):
    """The configuration names what is not known, lacks what is needed, or asks for what is refused."""

    exit_code = 2
