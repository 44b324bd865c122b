"""Names that a command needs of the mirror before anything else is imported."""

PROJECT = "losstap"
MODES = ("online", "offline", "disabled")
