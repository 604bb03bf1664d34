"""What an operator does with a data directory: back it up, restore it, examine it."""
