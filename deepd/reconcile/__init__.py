"""Observed and wanted to a plan, and a plan to engine calls."""
