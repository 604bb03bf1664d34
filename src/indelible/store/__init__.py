"""The contracts of storage, and the engines that keep them."""
