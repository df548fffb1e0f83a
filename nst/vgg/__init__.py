"""VGG-19: its parameters, its layers by name, and one convolution of it."""
