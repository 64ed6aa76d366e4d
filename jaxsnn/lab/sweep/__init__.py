"""Many networks of one preset, trained by few programs."""
