"""The execution oracle: what commands really run, told by programs that only say that they ran."""
