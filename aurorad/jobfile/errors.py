"""The errors of a job file: the author erred, and the text is for them."""


class ConfigError(Exception):
    """The file, or the job in it, cannot be used. The text says what is wrong and where."""


class ConfigRefused(ConfigError):
    """A job that could run, with settings nobody can want."""
