"""Models of fastText: what their files hold, and what they predict; without torch."""
