"""The HTTP door: parse, call one service or view, shape the reply."""
