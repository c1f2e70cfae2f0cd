"""What each operation of an administrator checks, needs and changes."""
