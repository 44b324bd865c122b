"""What a command must know of the mirror before anything else is imported."""

PROJECT = "losstap"
MODES = ("online", "offline", "disabled")
