"""One sandbox over its guest: commands, jobs and files."""
