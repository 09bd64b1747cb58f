"""What can be wrong with result folders."""


class ResultError(Exception):
    """A folder that holds no results, or damaged ones; the message names it."""
