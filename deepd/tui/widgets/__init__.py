"""Widgets that draw text themselves: none of them reads markup."""
