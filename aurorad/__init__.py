"""aurorad: Apache Aurora's scheduler, Thermos executor and observer, as one Trio daemon."""

__version__ = "0.1.0"
