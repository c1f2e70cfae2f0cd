"""The JSON form of values that Handle clients know, both directions."""
