"""The commands of `hnode`, one module a noun; each is imported only when it is called."""
