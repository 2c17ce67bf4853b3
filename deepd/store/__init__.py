"""What must survive the daemon, in SQLite."""
