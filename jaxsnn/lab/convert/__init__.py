"""The conversion baseline of a run."""
