"""The error of every reader."""


def damaged(name: str, offset: int, what: str) -> ValueError:
    """The error of a file that cannot be read: its name, the byte where it went wrong, what was expected and found."""
    return ValueError(f"{name}: at byte {offset}: {what}. Copy the file anew from where it came, or remove it")


def refused(name: str, event: int, what: str) -> ValueError:
    """The error of an event that a format cannot hold."""
    return ValueError(f"{name}: event {event} {what}: write another format, e.g. .npy, which holds every recording")
