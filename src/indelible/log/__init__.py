"""The log: the only writer, reading, proving and publishing."""
