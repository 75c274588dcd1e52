"""Backups: the whole database in one encrypted file, and back; never the KEK that its keys are under."""
