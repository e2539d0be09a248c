"""The one error that results/ raises for its users."""


class ResultsError(ValueError):
    """A run directory can't be used as asked. The message says: wanted, got, do this."""
