"""A run's network in the user's hands: predictions on any images, and its weights alone."""
