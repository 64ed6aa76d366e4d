"""Spiking LeNet on the 1,797 digits embedded in scikit-learn: the demonstration, no download."""

from experiments.config import Config
from experiments.run import main


def digits() -> Config:
    """LeNet at 16x16, the paper's rule, T = 16; minutes on a laptop."""
    return Config(
        dataset="digits",
        time_steps=16,
        epochs=20,
        lr=0.01,
        schedule="cosine",
        batch_size=32,
        validation=200,
        log_every=10,
        seeds=3,
    )


PRESETS = {"digits": digits}

if __name__ == "__main__":
    main(PRESETS)
