"""The offline registry kit: makes images from nothing and serves them."""
