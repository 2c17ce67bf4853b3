"""`python -m deepd` is the command `deepd`."""

from deepd.cli.entry import entry

if __name__ == "__main__":
    entry()
