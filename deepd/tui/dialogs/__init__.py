"""Dialogs: what is asked before something is done; closing one does nothing."""
