"""Spiking LeNet on the 1,797 digits embedded in scikit-learn: the demonstration, no download."""

from jaxsnn.lab.config import Config
from jaxsnn.lab.run import main


def digits() -> Config:
    """LeNet at 16x16, the paper's rule, T = 16, Adam with the rate falling to 0, three seeds; minutes on a laptop."""
    return Config.of(
        dataset="digits",
        time_steps=16,
        epochs=16,
        batch_size=16,
        optimizer="adam",
        lr=0.001,
        schedule="cosine",
        weight_decay=0.0,
        shift=1,
        validation=100,
        seeds=3,
    )


PRESETS = {"digits": digits}

if __name__ == "__main__":
    main(PRESETS)
