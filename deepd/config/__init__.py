"""TOML files to profiles and settings, with errors that say where."""
