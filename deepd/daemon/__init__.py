"""The daemon: profiles, sessions, calls, approvals, events and their composition."""
