"""Which calls a human sees: pure decisions over a call and a profile's rules."""
